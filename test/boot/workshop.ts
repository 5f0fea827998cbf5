// Where boot tests get their releases and disks from: recipes built once and kept, a repository, a server, a disk image.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readPartitions } from '../../images/gpt.ts'

const program = join(import.meta.dirname, '../../dist/psyblob.js')

/** What builds may use again: PSYBLOB_BOOT_CACHE, else a folder that other runs find too. */
const cache = process.env['PSYBLOB_BOOT_CACHE'] ?? join(tmpdir(), 'psyblob-boot-cache')

export type Change = {
  /** Lines of YAML that are added to `files:` of the recipe. */
  readonly files?: readonly string[]
  /** Texts of the recipe that are replaced. */
  readonly replace?: Readonly<Record<string, string>>
}

/** A publisher with a key, a repository that is served to guests, and a folder for disks. */
export class Workshop {
  readonly dir = realpathSync(mkdtempSync(join(tmpdir(), 'psyblob-boot-')))
  readonly port: number
  #server: ChildProcess | undefined

  constructor(port: number) {
    this.port = port
    mkdirSync(cache, { recursive: true })
    this.psyblob('key new os --no-password')
    this.psyblob('init repo --key os.key --repo org.example.boot')
  }

  path(...names: readonly string[]): string {
    return join(this.dir, ...names)
  }

  /** Runs psyblob as typed; throws what it said when it does not end well. */
  psyblob(line: string, more: readonly string[] = []): string {
    try {
      return execFileSync(process.execPath, [program, ...line.split(' ').filter((word) => word !== ''), ...more, '--progress', 'none'], {
        cwd: this.dir,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, PSYBLOB_STORE: this.path('store') },
        maxBuffer: 64 << 20,
      })
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string }
      throw new Error(`psyblob ${line}\n${stdout}${stderr}`)
    }
  }

  get key(): string {
    return readFileSync(this.path('os.pub'), 'utf8').trim().split('\n').at(-1) ?? ''
  }

  /** Writes a recipe, or the one in a folder with what belongs to it, with what makes it ours: key, port, changes. Answers its path. */
  recipe(from: string, name: string, { files = [], replace = {} }: Change = {}): string {
    const to = this.path(`recipe-${name}`)
    if (from.endsWith('.yaml')) cpSync(from, join(to, 'recipe.yaml'))
    else cpSync(from, to, { recursive: true })
    let text = readFileSync(join(to, 'recipe.yaml'), 'utf8').replaceAll('KEY', this.key).replaceAll('PORT', String(this.port))
    for (const [old, into] of Object.entries(replace)) {
      if (!text.includes(old)) throw new Error(`the recipe does not say ${old}`)
      text = text.replace(old, into)
    }
    if (files.length > 0) text = text.replace(/^files:\n/m, `files:\n${files.map((line) => `  - ${line}\n`).join('')}`)
    writeFileSync(join(to, 'recipe.yaml'), text)
    return join(to, 'recipe.yaml')
  }

  /** Builds a release folder. */
  os(recipe: string, name: string): string {
    this.psyblob(`build os --recipe ${recipe} --out ${name} --cache ${cache}`)
    return this.path(name)
  }

  /** The kernel that a recipe names. */
  kernel(folder: string): string {
    this.psyblob(`build kernel --recipe ${this.recipe(folder, 'kernel')} --out kernel --cache ${cache}`)
    return this.path('kernel', 'kernel')
  }

  /** A boot loader whose menu stays so many seconds, or with flags. Under emulation the kernel's test of its timer fails on a busy host. */
  efisys(name: string, options: number | string = 1): string {
    const [flags, words] =
      typeof options === 'string' ? [` ${options}`, []] : [` --menu ${options}`, ['--command-line', 'loglevel=4 no_timer_check']]
    this.psyblob(`build efisys --out ${name} --cache ${cache}${flags}`, words)
    return this.path(name)
  }

  publish(product: string, folder: string, version: string): void {
    this.psyblob(`publish ${product} ${folder} --remote repo --key os.key --version ${version}`)
  }

  /** A disk with the newest releases. */
  disk(name: string, options = ''): string {
    this.psyblob(`build disk ${name} --remote repo --key os.pub${options === '' ? '' : ` ${options}`}`)
    return this.path(name)
  }

  /** Serves the repository where guests look for it. */
  async serve(): Promise<void> {
    const server = spawn(process.execPath, [program, 'serve', 'repo', '--port', String(this.port)], {
      cwd: this.dir,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.stdout.once('data', () => resolve())
      server.once('exit', () => reject(new Error('the server did not start')))
    })
  }

  /** Writes a file into a FAT partition, given as mtools takes it. */
  mcopy(drive: string, name: string, bytes: Uint8Array): void {
    writeFileSync(this.path('file'), bytes)
    this.#mtools('mcopy', ['-o', '-i', drive, this.path('file'), `::/${name}`])
  }

  mdel(drive: string, name: string): void {
    this.#mtools('mdel', ['-i', drive, `::/${name}`])
  }

  #mtools(name: string, words: readonly string[]): void {
    execFileSync(name, words, { env: { ...process.env, MTOOLS_SKIP_CHECK: '1' }, stdio: ['ignore', 'pipe', 'pipe'] })
  }

  async #debugfs(disk: string, slot: 'a' | 'b', commands: string): Promise<void> {
    const file = await open(disk, 'r')
    const partitions = await readPartitions(file, disk).finally(() => file.close())
    const name = slot === 'a' ? 'psyopsOS-A' : 'psyopsOS-B'
    const offset = partitions.find((one) => one.name === name)?.offset ?? 0
    writeFileSync(this.path('debugfs'), commands)
    execFileSync('debugfs', ['-w', '-f', this.path('debugfs'), `${disk}?offset=${offset}`], { stdio: ['ignore', 'pipe', 'pipe'] })
  }

  /** Takes everything of psyblob's away: what is left is what psyopsOS puts on a disk. */
  async asPsyopsOS(disk: string): Promise<void> {
    await this.#debugfs(disk, 'a', 'rm manifest\nrm manifest.minisig\n')
    const esp = `${disk}@@1048576`
    for (const name of ['state1/select', 'state2/select', 'tries', 'loader', 'trial', 'psyblob/manifest', 'psyblob/manifest.minisig'])
      this.mdel(esp, name)
    this.mcopy(esp, 'EFI/BOOT/BOOTX64.EFI', Buffer.from('MZ, of psyopsOS'))
  }

  /** What was a kernel is none any more. */
  async spoil(disk: string, slot: 'a' | 'b'): Promise<void> {
    writeFileSync(this.path('spoilt'), 'no kernel')
    await this.#debugfs(disk, slot, `rm kernel\nwrite ${this.path('spoilt')} kernel\n`)
  }

  close(): void {
    this.#server?.kill()
    if (process.env['PSYBLOB_KEEP'] === undefined) rmSync(this.dir, { recursive: true, force: true })
  }
}
