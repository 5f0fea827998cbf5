// What psyops-secret holds: a node's own files, by the names that its init looks for, each checked before a node has to do without it (spec/disk.md 7).
import { readFile } from 'node:fs/promises'
import {
  formatPublicKeyFile,
  limits,
  PsyblobError,
  parseComposition,
  parsePath,
  parsePublicKey,
  pathTwin,
  utf8Decode,
  visible,
} from '../../core/mod.ts'
import { hasCode, translated } from '../../store/mod.ts'
import { type AgeKey, newAgeKey, readAgeKey } from './age.ts'
import type { BuildContext } from './builder.ts'
import { newSshKey, readSshKey, type SshKey } from './ssh-key.ts'

/** Paths are those of files of whoever builds. */
export type SecretOptions = {
  readonly nodename: string
  /** Undefined: a new one. */
  readonly ageKey: string | undefined
  readonly sshKey: string | undefined
  /** The line of the key that releases are signed with. */
  readonly publicKey: string | undefined
  readonly mactab: string | undefined
  readonly networkInterfaces: string | undefined
  readonly nebula: { readonly key: string; readonly crt: string; readonly ca: string } | undefined
  readonly composition: string | undefined
  /** Anything else, by the name it gets. */
  readonly files: readonly { readonly name: string; readonly path: string }[]
  /** Milliseconds since 1970. */
  readonly now: number
}

export type SecretFile = { readonly path: string; readonly bytes: Uint8Array }
export type SecretContent = { readonly files: readonly SecretFile[]; readonly age: AgeKey; readonly ssh: SshKey }

/** The longest host name of Linux. */
const longestName = 64
const largestFile = 16 * 1024 * 1024

/** Errors: `usage` (names), `not-found`, `malformed` (files that are not what they are given for). */
export async function secretContent(options: SecretOptions, context: BuildContext): Promise<SecretContent> {
  const { nodename, ageKey, sshKey, publicKey, mactab, networkInterfaces, nebula, composition, now } = options
  checkNodename(nodename)
  const files: SecretFile[] = [{ path: 'nodename', bytes: Buffer.from(`${nodename}\n`) }]
  const add = (path: string, bytes: Uint8Array) => void files.push({ path, bytes })
  if (publicKey !== undefined) add('minisign.pubkey', Buffer.from(formatPublicKeyFile(parsePublicKey(publicKey))))
  if (mactab !== undefined) add('mactab', checkedMactab(await readInput(mactab), mactab))
  if (networkInterfaces !== undefined) {
    const bytes = await readInput(networkInterfaces)
    utf8Decode(bytes, visible(networkInterfaces))
    add('network.interfaces', bytes)
  }
  if (composition !== undefined) {
    const bytes = await readInput(composition, limits.composition)
    parseComposition(utf8Decode(bytes, visible(composition)), visible(composition))
    add('composition', bytes)
  }
  if (nebula !== undefined) {
    add('nebula/host.key', checkedPem(await readInput(nebula.key), nebula.key, true))
    for (const name of ['crt', 'ca'] as const)
      add(name === 'crt' ? 'nebula/host.crt' : 'nebula/ca.crt', checkedPem(await readInput(nebula[name]), nebula[name], false))
  }
  const age = ageKey === undefined ? await newAgeKey(now) : await readAgeKey(await readInput(ageKey), ageKey)
  add('age.key', age.file)
  const ssh =
    sshKey === undefined
      ? await newSshKey(nodename, context)
      : await readSshKey(await readInput(sshKey), { what: sshKey, nodename }, context)
  add(ssh.name, ssh.secret)
  add(`${ssh.name}.pub`, Buffer.from(`${ssh.publicKey}\n`))
  for (const { name, path } of options.files) {
    const inside = parsePath(`/${name}`).slice(1)
    if (inside === 'lost+found' || inside.startsWith('lost+found/'))
      throw new PsyblobError('usage', `${visible(name)}: lost+found is the file system's own`, {
        hint: 'give --file another name before the =',
      })
    const twin = files.find((file) => overlap(pathTwin(file.path), pathTwin(inside)))
    if (twin !== undefined)
      throw new PsyblobError('usage', `${visible(name)} is ${visible(twin.path)} already`, {
        hint: 'give --file another name before the =',
      })
    add(inside, await readInput(path))
  }
  return { files: files.sort((one, two) => (one.path < two.path ? -1 : 1)), age, ssh }
}

/** One name, or one a folder of the other. */
function overlap(one: string, two: string): boolean {
  return one === two || one.startsWith(`${two}/`) || two.startsWith(`${one}/`)
}

/** A host name by RFC 1123, 2.1, as Linux can hold it. */
function checkNodename(name: string): void {
  const isLabel = (label: string) => /^[a-z\d]([a-z\d-]{0,61}[a-z\d])?$/i.test(label)
  if (name.length <= longestName && name.split('.').every(isLabel)) return
  throw new PsyblobError('usage', `${visible(name)} is no name of a node`, {
    hint: `letters, digits and hyphens, parted by dots, at most ${longestName} in all, such as node1 or node1.example.org`,
  })
}

/** What a file given for one thing is. A pipe will do as well, such as a password manager's. */
async function readInput(path: string, limit = largestFile): Promise<Uint8Array> {
  const bytes = await readFile(path).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) throw new PsyblobError('not-found', `no file ${visible(path)}`, { hint: 'check the path' })
    throw translated(error, `reading ${path}`)
  })
  if (bytes.length <= limit) return bytes
  throw new PsyblobError('malformed', `${visible(path)} is longer than ${limit} bytes`, { hint: 'is it the right file?' })
}

/** nameif(8): a name for an interface and its hardware address, or one of busybox's other ways of telling which one it is. */
function checkedMactab(bytes: Uint8Array, path: string): Uint8Array {
  const seen = new Set<string>()
  for (const [at, line] of utf8Decode(bytes, visible(path)).split('\n').entries()) {
    const text = line.replace(/#.*/, '').trim()
    if (text === '') continue
    const [name = '', ...selectors] = text.split(/\s+/)
    const refuse = (why: string) =>
      new PsyblobError('malformed', `${visible(path)}, line ${at + 1}: ${why}`, { hint: 'a line is such as: eth0 52:54:00:12:34:56' })
    if (name.length > 15 || name.includes('/')) throw refuse(`${visible(name)} is no name of an interface`)
    if (seen.has(name)) throw refuse(`${visible(name)} is there twice`)
    seen.add(name)
    const isSelector = (word: string) => /^(mac=)?[\da-f]{1,2}(:[\da-f]{1,2}){5}$/i.test(word) || /^(driver|path|phyaddr)=\S+$/.test(word)
    const wrong = selectors.find((word) => !isSelector(word))
    if (wrong !== undefined || selectors.length === 0)
      throw refuse(wrong === undefined ? 'no hardware address' : `${visible(wrong)} is no hardware address`)
  }
  return bytes
}

/** A private key where a certificate belongs would be readable by everybody on the node. */
function checkedPem(bytes: Uint8Array, path: string, isKey: boolean): Uint8Array {
  const text = Buffer.from(bytes).toString('latin1')
  const kinds = [...text.matchAll(/^-----BEGIN NEBULA ([A-Z\d ]+)-----\r?$/gm)].map(([, kind = '']) => kind)
  const isRight =
    kinds.length > 0 && kinds.every((kind) => kind.includes('PRIVATE KEY') === isKey && kind.includes('CERTIFICATE') !== isKey)
  if (isRight) return bytes
  throw new PsyblobError('malformed', `${visible(path)} is no ${isKey ? 'private key' : 'certificate'} of Nebula`, {
    hint: `nebula-cert makes it: -----BEGIN NEBULA ${isKey ? 'X25519 PRIVATE KEY' : 'CERTIFICATE'}-----`,
  })
}
