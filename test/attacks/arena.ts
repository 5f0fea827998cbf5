// Where attacks are tried: a repository whose keys are all at hand, a node that has release 2, and a server that gives whatever the attacker likes.
import {
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type CID,
  cidOf,
  documents,
  formatRoot,
  isPsyblobError,
  joinPointerFile,
  newSecretKey,
  type RootContent,
  type SecretKey,
  shardOf,
  signPrehash,
  utf8Encode,
} from '../../core/mod.ts'
import { type Node, openNode } from '../../images/node.ts'
import { openRun } from '../../images/run.ts'
import { sync } from '../../images/sync.ts'
import { blake3 } from '../../store/blake3.ts'
import { prehash, signatureEngine } from '../../store/crypto.ts'
import { initRepository, openWriter, publish, publishRoot, refreshPointer } from '../../store/mod.ts'
import { type Asked, type Bend, bentServer } from '../fixtures/bent-server.ts'
import { madeUp } from '../fixtures/repository.ts'
import { answerFrom } from '../fixtures/site.ts'

export type Files = Map<string, Uint8Array>
export type Mode = 'key' | 'root'
/** What the tests change in a parsed document. */
// biome-ignore lint/suspicious/noExplicitAny: an attacker keeps to no shape
export type Loose = any

const repo = 'org.example.arena'
export const pointerName = documents.pointer('stable')
const start = Date.parse('2026-11-23T10:00:00Z')
const hour = 3_600_000
/** A root; what the gateway says lies below it is what counts. */
export const ipfsRoot = 'bafybeihkoviema7g3gxyt6la7vd5ho32ictqbilu3wnlo3rs7ewhnp7lly'
const days = 7
const report = () => undefined

export type Outcome = {
  /** `none`, or the code of the error. */
  readonly code: string
  readonly message: string
  /** Bytes of bodies that the server sent. */
  readonly sent: number
  readonly milliseconds: number
}

export class Arena {
  readonly mode: Mode
  readonly dir = realpathSync(mkdtempSync(join(tmpdir(), 'psyblob-arena-')))
  readonly keys: Readonly<Record<'os' | 'ci' | 'anna' | 'ben' | 'cleo' | 'evil', SecretKey>>
  /** The repository with the releases 1 to 2, and 1 to 3. */
  before: Files = new Map()
  good: Files = new Map()
  /** What the publisher does next: release 4, and a pointer above all that an attacker had. */
  later: Files = new Map()
  now = start

  constructor(mode: Mode) {
    this.mode = mode
    const make = () => newSecretKey(signatureEngine)
    this.keys = { os: make(), ci: make(), anna: make(), ben: make(), cleo: make(), evil: make() }
  }

  path(...names: readonly string[]): string {
    return join(this.dir, ...names)
  }

  /** Who signs the pointer. */
  get pointerKey(): SecretKey {
    return this.mode === 'key' ? this.keys.os : this.keys.ci
  }

  async build(): Promise<void> {
    mkdirSync(this.path('repo'))
    const remote = openWriter(this.path('repo'))
    const { os, ci } = this.keys
    await initRepository(remote, { key: os, repo, channel: 'stable', now: this.now, days })
    if (this.mode === 'root') {
      writeFileSync(this.path('root.json'), formatRoot(this.rootContent(1)))
      writeFileSync(this.path('root.json.minisig'), this.signed(readFileSync(this.path('root.json')), ['anna', 'ben', 'os'], 'x'))
      await publishRoot({ path: this.path('root.json'), signatures: [], remote, anchors: [os.publicKey], channels: undefined })
      await refreshPointer({ remote, keys: [ci, os], channel: 'stable', now: this.now, days })
    }
    for (const serial of [1, 2, 3, 4]) {
      this.now += hour
      mkdirSync(this.path('build'), { recursive: true })
      writeFileSync(this.path('build/kernel'), madeUp(20_000, serial))
      writeFileSync(this.path('build/squashfs'), Buffer.concat([madeUp(200_000, 7), madeUp(40_000, 100 + serial)]))
      const product = { product: 'os', dir: this.path('build'), channel: 'stable', compat: 'any', version: `v${serial}`, description: 'x' }
      await publish({ ...product, remote, keys: [os, ci], remotes: [], now: this.now, days, report })
      if (serial === 2) this.before = this.#read()
      if (serial === 3) this.good = this.#read()
      if (serial < 3) await this.#sync(await this.node([this.path('repo')], 'template', serial === 1 ? undefined : 'a'))
    }
    this.later = this.#read()
    const pointed = this.parsed(pointerName, this.later)
    this.pointer(this.later, (pointer) => void Object.assign(pointer, { ...pointed, version: pointed.version + 10 }))
  }

  #read(): Files {
    const files: Files = new Map()
    for (const entry of readdirSync(this.path('repo'), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      files.set(path.slice(this.path('repo').length + 1), readFileSync(path))
    }
    return files
  }

  rootContent(version: number): RootContent {
    const { os, ci, anna, ben, cleo } = this.keys
    const role = (threshold: number, ...keys: readonly SecretKey[]) => ({ threshold, keys: keys.map(({ publicKey }) => publicKey) })
    return {
      repo,
      version,
      issued: '2026-11-23T10:00:00Z',
      expires: '2027-11-23T10:00:00Z',
      roles: { root: role(2, anna, ben, cleo), release: { '*': role(1, os) }, pointer: { '*': role(1, ci) } },
      floors: {},
      revoked: [],
    }
  }

  /** A signature file over these bytes. */
  signed(body: Uint8Array, names: readonly (keyof Arena['keys'])[], trustedComment: string): string {
    return names.map((name) => signPrehash({ secretKey: this.keys[name], prehash: prehash(body), trustedComment })).join('')
  }

  /** The line of a good document, parsed. */
  parsed(name: string, files: Files = this.good): Loose {
    return JSON.parse((files.get(name) as Buffer).toString('utf8').split('\n')[0] as string)
  }

  /** Puts a pointer there, changed and rightly signed (or by `by`). `raw` changes its text before that. */
  pointer(files: Files, change: (pointer: Loose) => void, { by, raw = (text) => text, comment = '' }: Forged = {}): void {
    const pointer = this.parsed(pointerName)
    pointer.version++
    change(pointer)
    const body = utf8Encode(`${raw(JSON.stringify(pointer))}\n`)
    const keys = by ?? [this.mode === 'key' ? 'os' : 'ci']
    files.set(pointerName, joinPointerFile({ body, signatures: this.signed(body, keys, comment) }))
  }

  /** Puts release 3 there, changed and rightly signed (or by `by`), with a pointer that names it. */
  manifest(files: Files, change: (lines: Loose[]) => void, { by = ['os'], raw = (text) => text, comment = '' }: Forged = {}): CID {
    const lines = (this.good.get(documents.manifest('os', 3)) as Buffer)
      .toString('utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    change(lines)
    const body = utf8Encode(raw(`${lines.map((line) => JSON.stringify(line)).join('\n')}\n`))
    const cid = cidOf(blake3().digest(body))
    files.set(documents.manifest('os', 3), body)
    files.set(documents.manifestSignature('os', 3), utf8Encode(this.signed(body, by, comment)))
    this.pointer(files, (pointer) => {
      pointer.products.os = { serial: 3, manifest: cid, size: body.length }
    })
    return cid
  }

  /** Puts a root there. */
  root(
    files: Files,
    version: number,
    change: (root: Loose) => void,
    { by = ['anna', 'ben'], raw = (text) => text, comment = '' }: Forged = {},
  ): void {
    const root = JSON.parse(Buffer.from(formatRoot(this.rootContent(version))).toString('utf8'))
    change(root)
    const body = utf8Encode(`${raw(JSON.stringify(root))}\n`)
    files.set(documents.root(version), body)
    files.set(documents.rootSignature(version), utf8Encode(this.signed(body, by, comment)))
  }

  /** Where the blob of an entry of release 3 lies. */
  blobName(path: string, what: 'blob' | 'index' = 'blob'): string {
    const text = (this.good.get(documents.manifest('os', 3)) as Buffer).toString('utf8')
    const { bin } = text
      .split('\n')
      .slice(1, -1)
      .map((line) => JSON.parse(line))
      .find((entry) => entry.path === path)
    const cid = what === 'blob' ? bin.cid : bin.index.cid
    return `blobs/${shardOf(cid)}/${cid}`
  }

  node(uris: readonly string[], home: string, booted: 'a' | 'b' | undefined, ipfsGateway?: string): Promise<Node> {
    const place = (name: string) => ({ dir: this.path(home, name) })
    return openNode({
      storeDir: this.path(home, 'store'),
      components: [
        {
          name: 'os',
          key: this.keys.os.publicKey.text,
          uris: [...uris],
          channel: 'stable',
          compat: 'any',
          target: { kind: 'slots', a: place('a'), b: place('b'), esp: place('esp') },
        },
      ],
      disk: undefined,
      booted,
      cmdline: '',
      stallSeconds: 1,
      ipfsGateway,
      run: openRun(report),
      report,
      clock: () => this.now,
    })
  }

  #sync(node: Node) {
    return sync(node, node.components[0] as Node['components'][number], {
      dryRun: false,
      force: false,
      activate: true,
      path: undefined,
      reboot: false,
    })
  }

  /** A fresh copy of the node. */
  fresh(home: string): void {
    rmSync(this.path(home), { recursive: true, force: true })
    cpSync(this.path('template'), this.path(home), { recursive: true, verbatimSymlinks: true })
  }

  /** One sync of the node in `home` from a server that answers so; `ipfs`: it is a gateway, asked for what lies below the root. */
  async attack(home: string, answer: (asked: Asked) => Bend, through?: 'ipfs'): Promise<Outcome> {
    const below = (asked: Asked) => answer({ ...asked, target: asked.target.replace(`/ipfs/${ipfsRoot}/`, '/') })
    const server = await bentServer(through === 'ipfs' ? below : answer)
    const uri = through === 'ipfs' ? `ipfs://${ipfsRoot}/` : server.url
    const began = performance.now()
    try {
      await this.#sync(await this.node([uri], home, 'b', server.url))
      return { code: 'none', message: '', sent: server.sent, milliseconds: performance.now() - began }
    } catch (error) {
      if (!isPsyblobError(error)) throw error
      return { code: error.code, message: `${error.message}\t${error.hint}`, sent: server.sent, milliseconds: performance.now() - began }
    } finally {
      await server.close()
    }
  }

  serve(files: Files): (asked: Asked) => Bend {
    return (asked) => answerFrom(files, asked)
  }

  /** Everything in a folder: kinds, modes, bytes. Of the state what is trusted, and not what happened last. */
  snapshot(...names: readonly string[]): string {
    const base = this.path(...names)
    const lines: string[] = []
    const visit = (path: string) => {
      const name = path.slice(base.length)
      const stat = lstatSync(path, { throwIfNoEntry: false })
      if (stat === undefined) return void lines.push(`${name} absent`)
      if (stat.isSymbolicLink()) return void lines.push(`${name} -> ${readlinkSync(path)}`)
      if (stat.isDirectory()) {
        lines.push(`${name}/`)
        for (const entry of readdirSync(path).sort()) visit(join(path, entry))
        return
      }
      const bytes = readFileSync(path)
      lines.push(`${name} ${stat.mode.toString(8)} ${Buffer.from(blake3().digest(bytes)).toString('hex')}`)
    }
    visit(base)
    return lines.join('\n')
  }

  /** The trusted part of the state. */
  trusted(home: string): string {
    const { last: _, ...rest } = JSON.parse(readFileSync(this.path(home, 'store/state.json'), 'utf8'))
    return JSON.stringify(rest)
  }

  close(): void {
    rmSync(this.dir, { recursive: true, force: true })
  }
}

export type Forged = {
  readonly by?: readonly (keyof Arena['keys'])[]
  readonly raw?: (text: string) => string
  readonly comment?: string
}
