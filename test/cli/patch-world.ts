// Two releases of a small image whose second one is an update of the first as updates are, with a patch between them; and a node that has the first.
import { closeSync, cpSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type CID, type EntryBlob, parseManifest, shardOf } from '../../core/mod.ts'
import { type Asked, type Bend, type BentServer, bentServer } from '../fixtures/bent-server.ts'
import { type Outcome, type RunOptions, World } from './world.ts'

/** Machine code, `length` bytes of it: a part of the program that runs us. */
export function machineCode(at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  const file = openSync(process.execPath, 'r')
  if (readSync(file, bytes, 0, length, at) !== length) throw new Error(`${process.execPath} is shorter than ${at + length} bytes`)
  closeSync(file)
  return bytes
}

const megabyte = 1_000_000

export const blobPath = (cid: CID): string => `blobs/${shardOf(cid)}/${cid}`

/** Lines that warn, but for the one about keys that every run has. */
export function warnings({ stderr }: Pick<Outcome, 'stderr'>): readonly string[] {
  return stderr.split('\n').filter((line) => /warning: /.test(line) && !/one key signs all/.test(line))
}

export class PatchWorld extends World {
  /** A folder of programs and texts, of 5 MB. */
  makeContent(): void {
    for (let number = 0; number < 12; number++)
      this.write(`content/bin/program${number}`, machineCode((16 + 3 * number) * megabyte, 380_000))
    cpSync(join(import.meta.dirname, '../../node_modules/undici/lib/web'), this.path('content/share/web'), { recursive: true })
  }

  /** As an update does: some programs have a few bytes more and many others, a file is new, one has gone. */
  update(release: number, programs = 2): void {
    for (let number = release; number < release + programs; number++) {
      const bytes = this.read(`content/bin/program${number}`)
      for (let at = 5_000 * release; at < bytes.length; at += 40_000) bytes[at] = (bytes[at] as number) ^ 0x55
      const added = Buffer.from(`release ${release}`)
      this.write(`content/bin/program${number}`, Buffer.concat([bytes.subarray(0, 1000), added, bytes.subarray(1000)]))
    }
    this.write(`content/bin/new${release}`, machineCode((60 + release) * megabyte, 40_000))
    this.remove(`content/share/web/${['fetch/LICENSE', 'websocket/util.js', 'cache/util.js'][release % 3]}`)
  }

  /** The content as an image, beside a kernel. */
  pack(release: string, options = '-comp zstd'): void {
    this.write(`${release}/kernel`, `kernel of ${release}\n`)
    const usual = '-noappend -quiet -no-progress -all-time 0 -mkfs-time 0 -all-root'
    this.run('mksquashfs', ['content', `${release}/squashfs`, ...`${options} ${usual}`.split(' ')])
  }

  /** A key, a repository, and the first release in it. */
  async withFirst(packing?: string): Promise<this> {
    this.makeContent()
    this.pack('r1', packing)
    await this.must('key new os --no-password')
    await this.must('init repo --key os.key --repo org.example.test')
    await this.publish('r1')
    return this
  }

  /** Both releases, and what a node has that installed the first one: `fresh` gives it back. The repository of the first is `first`. */
  async withBoth(programs?: number, packing?: string): Promise<this> {
    await this.withFirst(packing)
    this.copy('repo', 'first')
    await this.must(`sync os ${this.node()}`)
    this.update(1, programs)
    this.pack('r2', packing)
    await this.publish('r2')
    this.keep()
    return this
  }

  publish(release: string, words = '', options: Omit<RunOptions, 'cwd'> = {}): Promise<Outcome> {
    return this.must(`publish os ${release} --remote repo --key os.key --version ${release} ${words}`, options)
  }

  /** What the node has now is what `fresh` gives back. */
  keep(): void {
    for (const name of ['a', 'esp', 'store']) this.copy(name, `fresh-${name}`)
  }

  fresh(): void {
    for (const name of ['a', 'b', 'esp', 'store']) this.remove(name)
    for (const name of ['a', 'esp', 'store']) this.copy(`fresh-${name}`, name)
  }

  /** The blob of the image in a manifest of the repository. */
  squashfs(serial: number): EntryBlob {
    const { records } = parseManifest(this.read(`repo/manifests/os/${serial}`), 'manifest')
    return records.find(({ path }) => path === '/squashfs')?.bin as EntryBlob
  }

  patches(serial: number): NonNullable<EntryBlob['patches']> {
    return this.squashfs(serial).patches ?? []
  }

  /** Why slot b is not what was published as `release`, with nothing left over; undefined when it is. */
  wrong(release: string): string | undefined {
    for (const name of ['kernel', 'squashfs'])
      if (!existsSync(this.path('b', name)) || Buffer.compare(this.read(`b/${name}`), this.read(`${release}/${name}`)) !== 0)
        return `b/${name} has other bytes`
    return existsSync(this.path('b/.psyblob')) ? 'b/.psyblob is there' : undefined
  }
}

/** With the bytes of bodies that went out, by path. */
export type CountingServer = BentServer & { readonly bytes: Map<string, number> }

/** A web server of the repository that counts; `bend` may answer otherwise. */
export async function serveRepository(
  world: World,
  bend: (path: string, honest: Bend, asked: Asked) => Bend = (_, honest) => honest,
): Promise<CountingServer> {
  const bytes = new Map<string, number>()
  const server = await bentServer((asked) => {
    const path = decodeURIComponent(asked.target.slice(1))
    const answer = bend(path, honestAnswer(world.path('repo', path), asked), asked)
    if (answer.body instanceof Uint8Array) bytes.set(path, (bytes.get(path) ?? 0) + answer.body.length)
    return answer
  })
  return Object.assign(server, { bytes })
}

export function honestAnswer(file: string, { headers }: Asked): Bend {
  if (!existsSync(file) || !statSync(file).isFile()) return { status: 404 }
  const body = readFileSync(file)
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers['range'] ?? '') ?? []
  if (from === undefined || to === undefined) return { body }
  const part = body.subarray(Number(from), Number(to) + 1)
  return { status: 206, headers: { 'Content-Range': `bytes ${from}-${to}/${body.length}` }, body: part }
}
