// A small world for tests of the command line: a folder with keys, releases, a repository, slots; and psyblob as typed.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createCipheriv, createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const program = join(import.meta.dirname, '../../dist/psyblob.js')

export type Outcome = {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** What stdout holds as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever a command prints
  readonly json: any
}

export type RunOptions = {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  readonly started?: (child: ChildProcess) => void
}

/** Runs psyblob with the words of `line`; quoting is by arrays. */
function psyblob(line: string | readonly string[], options: RunOptions): Promise<Outcome> {
  const argv = typeof line === 'string' ? line.split(' ').filter((word) => word !== '') : line
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...argv], {
      cwd: options.cwd,
      env: { ...process.env, PSYBLOB_STORE: join(options.cwd, 'store'), ...options.env },
      stdio: 'pipe',
    })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (data: Buffer) => out.push(data))
    child.stderr.on('data', (data: Buffer) => err.push(data))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      const stdout = Buffer.concat(out).toString('utf8')
      const outcome = { code: code ?? (signal === 'SIGKILL' ? 137 : 128), stdout, stderr: Buffer.concat(err).toString('utf8') }
      // not enumerable, so that a failing comparison can print the rest
      resolve(Object.defineProperty(outcome, 'json', { get: () => (stdout === '' ? undefined : JSON.parse(stdout)) }) as Outcome)
    })
    child.stdin.end(options.input ?? '')
    options.started?.(child)
  })
}

/** Bytes that look random and are the same in every run: `seed` names them. */
export function noise(seed: string, length: number): Buffer {
  const key = createHash('sha256').update(seed).digest()
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

/** Every file below `dir` with a hash of its bytes: two equal texts are two equal folders. Times and lost+found do not count. */
export function snapshot(dir: string): string {
  if (!existsSync(dir)) return '(none)\n'
  const lines: string[] = []
  const visit = (path: string, prefix: string) => {
    for (const name of readdirSync(path).sort()) {
      if (name === 'lost+found') continue
      const file = join(path, name)
      const state = lstatSync(file)
      if (state.isDirectory()) visit(file, `${prefix}/${name}`)
      else if (state.isSymbolicLink()) lines.push(`${prefix}/${name} -> link`)
      else lines.push(`${prefix}/${name} ${state.mode.toString(8)} ${createHash('sha256').update(readFileSync(file)).digest('hex')}`)
    }
  }
  visit(dir, '')
  return `${lines.join('\n')}\n`
}

export class World {
  readonly dir = realpathSync(mkdtempSync(join(tmpdir(), 'psyblob-world-')))

  path(...names: readonly string[]): string {
    return join(this.dir, ...names)
  }

  write(name: string, bytes: string | Uint8Array): void {
    mkdirSync(dirname(this.path(name)), { recursive: true })
    writeFileSync(this.path(name), bytes)
  }

  read(name: string): Buffer {
    return readFileSync(this.path(name))
  }

  psyblob(line: string | readonly string[], options: Omit<RunOptions, 'cwd'> = {}): Promise<Outcome> {
    return psyblob(line, { ...options, cwd: this.dir })
  }

  /** As `psyblob`, but it must end well. */
  async must(line: string | readonly string[], options: Omit<RunOptions, 'cwd'> = {}): Promise<Outcome> {
    const outcome = await this.psyblob(line, options)
    if (outcome.code !== 0)
      throw new Error(
        `psyblob ${typeof line === 'string' ? line : line.join(' ')}: exit ${outcome.code}\n${outcome.stdout}${outcome.stderr}`,
      )
    return outcome
  }

  /** A repository with key os, and release folders r1 and r2 that differ as an update does; r1 is published. */
  async withRelease(): Promise<this> {
    const squashfs = noise('squashfs', 3_000_000)
    this.write('r1/kernel', noise('kernel 1', 300_000))
    this.write('r1/squashfs', squashfs)
    this.write('r1/dtbs/board.dtb', noise('dtb', 20_000))
    this.write('r1/old-file', 'gone in r2\n')
    this.write('r2/kernel', noise('kernel 2', 310_000))
    this.write('r2/squashfs', Buffer.concat([squashfs.subarray(0, 900_000), noise('new', 50_000), squashfs.subarray(900_000)]))
    this.write('r2/dtbs/board.dtb', noise('dtb', 20_000))
    await this.must('key new os --no-password')
    await this.must('init repo --key os.key --repo org.example.test')
    await this.must('publish os r1 --remote repo --key os.key --version one')
    return this
  }

  /** Options of a node with folder slots that reads the repository folder, or `remote`. */
  node(remote = 'repo'): string {
    return `--key os.pub --remote ${remote} --slot-a a --slot-b b --esp esp`
  }

  publish2(): Promise<Outcome> {
    return this.must('publish os r2 --remote repo --key os.key --version two')
  }

  /** What a node has: both slots, boot state, store. */
  state(): string {
    return ['a', 'b', 'esp', 'store'].map((name) => `${name}\n${snapshot(this.path(name))}`).join('')
  }

  copy(from: string, to: string): void {
    cpSync(this.path(from), this.path(to), { recursive: true })
  }

  remove(name: string): void {
    rmSync(this.path(name), { recursive: true, force: true })
  }

  /** Runs another program. */
  run(name: string, args: readonly string[]): string {
    return execFileSync(name, args, {
      cwd: this.dir,
      encoding: 'utf8',
      env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
    })
  }

  close(): void {
    rmSync(this.dir, { recursive: true, force: true })
  }
}
