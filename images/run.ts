// The only door to other programs: an argument vector, never a shell. Every run can be traced.
import type { ChildProcess } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { PsyblobError, type Report, visible } from '../core/mod.ts'
import { hasCode } from '../store/mod.ts'

export type RunOptions = {
  /** Exit codes that are no failure. */
  readonly allow?: readonly number[]
  /** The folder it runs in. */
  readonly cwd?: string
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
  /** What it reads on its standard input. Default: nothing. */
  readonly input?: AsyncIterable<Uint8Array> | Uint8Array | { readonly file: string }
  /** A file that takes its standard output instead of memory. */
  readonly output?: string
  /** It has the terminal of this process: input, output and the keyboard's interrupt. */
  readonly terminal?: boolean
  /** Ends it, SIGTERM first. */
  readonly signal?: AbortSignal | undefined
  /**
   * Milliseconds. When they have passed, or it ends before, every process it started in its group is killed. Of what it prints only the
   * last is kept: nobody knows what such a program does.
   */
  readonly limit?: number
}
export type RunResult = { readonly code: number; readonly stdout: Buffer; readonly stderr: string }
export type Run = (argv: readonly [string, ...string[]], options?: RunOptions) => Promise<RunResult>

/** Which package has a program: Debian's name, empty where it has none, then Alpine's. */
const packages: Readonly<Record<string, readonly [string, string]>> = {
  losetup: ['mount', 'losetup'],
  mount: ['mount', 'mount'],
  umount: ['mount', 'umount'],
  blkid: ['util-linux', 'blkid'],
  reboot: ['systemd-sysv', 'busybox'],
  mmdebstrap: ['mmdebstrap', 'mmdebstrap'],
  'apt-get': ['apt', 'apt'],
  'apt-cache': ['apt', 'apt'],
  'dpkg-deb': ['dpkg', 'dpkg'],
  apk: ['', 'apk-tools'],
  depmod: ['kmod', 'kmod'],
  mksquashfs: ['squashfs-tools', 'squashfs-tools'],
  'grub-mkimage': ['grub-common', 'grub'],
  sgdisk: ['gdisk', 'sgdisk'],
  mke2fs: ['e2fsprogs', 'e2fsprogs'],
  debugfs: ['e2fsprogs', 'e2fsprogs-extra'],
  e2fsck: ['e2fsprogs', 'e2fsprogs'],
  'mkfs.vfat': ['dosfstools', 'dosfstools'],
  xorriso: ['xorriso', 'xorriso'],
  'ssh-keygen': ['openssh-client', 'openssh-keygen'],
  'qemu-system-x86_64': ['qemu-system-x86', 'qemu-system-x86_64'],
  'UEFI firmware for QEMU': ['ovmf', 'ovmf'],
  tar: ['tar', 'tar'],
  busybox: ['busybox-static', 'busybox-static'],
  chroot: ['coreutils', 'coreutils'],
  unshare: ['util-linux', 'util-linux-misc'],
  newuidmap: ['uidmap', 'shadow-subids'],
  gzip: ['gzip', 'gzip'],
  xz: ['xz-utils', 'xz'],
  zstd: ['zstd', 'zstd'],
  bzip2: ['bzip2', 'bzip2'],
}

/**
 * Throws `unsupported` with everything that is missing at once, and the packages that have it, before any work is begun. `absent` is what
 * the caller looked for in vain: no programs, but in the table all the same.
 */
export async function requirePrograms(programs: readonly string[], absent: readonly string[] = []): Promise<void> {
  const missing: string[] = [...absent]
  for (const program of new Set(programs)) if ((await findProgram(program)) === undefined) missing.push(program)
  if (missing.length === 0) return
  throw new PsyblobError('unsupported', `not installed: ${missing.join(', ')}`, { hint: whereFrom(missing) })
}

/** Where a program is. */
export async function findProgram(program: string): Promise<string | undefined> {
  for (const folder of searchPath().split(':')) {
    if (folder === '') continue
    const path = join(folder, program)
    const there = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (there) return path
  }
  return undefined
}

/** A plain su leaves PATH without the places of losetup and blkid. */
function searchPath(): string {
  return `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`
}

/** Errors: `unsupported` (the program is not there), `command-failed` (with its last line). */
export function openRun(report: Report): Run {
  return async ([program, ...args], { allow = [], cwd, env, input, output, terminal = false, signal, limit } = {}) => {
    report({
      type: 'trace',
      text: `run ${[program, ...args].map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(' ')}`,
    })
    // loaded when the first program runs: slots that are folders need none
    const { execa } = await import('execa')
    signal?.throwIfAborted()
    const child = execa(program, args, {
      reject: false,
      encoding: 'buffer',
      ...(terminal
        ? { stdio: 'inherit' as const }
        : {
            ...(input === undefined ? { stdin: 'ignore' as const } : input instanceof Uint8Array ? { input } : { stdin: input }),
            ...(output === undefined ? {} : { stdout: { file: output } }),
          }),
      ...(cwd === undefined ? {} : { cwd }),
      // bytes as they are: a file that is read through a program may end with a line feed
      stripFinalNewline: false,
      ...(limit === undefined ? {} : { buffer: false }),
      env: { ...env, LC_ALL: 'C', MTOOLS_SKIP_CHECK: '1', PATH: searchPath() },
      // an interrupt from the keyboard is for us: a program cut short would be a failure where there is none
      detached: !terminal,
    })
    let last: NodeJS.Timeout | undefined
    const end = () => {
      endAll(child.pid, { terminal, name: 'SIGTERM' })
      last = setTimeout(() => endAll(child.pid, { terminal, name: 'SIGKILL' }), grace)
    }
    signal?.addEventListener('abort', end, { once: true })
    const bounds = limit === undefined ? undefined : bound(child, limit, signal)
    const tails = limit === undefined ? undefined : { stdout: tailOf(child.stdout), stderr: tailOf(child.stderr) }
    const result = await child
    const isLate = bounds?.end() ?? false
    signal?.removeEventListener('abort', end)
    clearTimeout(last)
    signal?.throwIfAborted()
    if (isLate)
      throw new PsyblobError('command-failed', `${program} took longer than ${(limit ?? 0) / 1000} seconds`, {
        hint: 'run it by hand to see what it waits for',
      })
    const stderr = (tails?.stderr() ?? Buffer.from(result.stderr ?? '')).toString('utf8')
    if (result.exitCode === undefined) {
      if (result.code === 'ENOENT') throw missing(program, result)
      throw new PsyblobError('command-failed', `${program} did not run: ${visible(result.shortMessage ?? 'unknown reason')}`, {
        cause: result,
        hint: 'run it again with -v to see the command',
      })
    }
    if (result.exitCode !== 0 && !allow.includes(result.exitCode)) {
      const lines = stderr.trim().split('\n')
      const line = (lines.findLast((text) => !closingWords.test(text)) ?? '').trim()
      if (diskFull.test(stderr))
        throw new PsyblobError('no-space', `no space left for ${program}: ${visible(line.slice(0, 300))}`, {
          hint: 'make room where it writes, then run the same command again',
        })
      // what had the terminal has said why there
      const why = terminal ? '' : `: ${visible(line.slice(0, 300))}`
      throw new PsyblobError('command-failed', `${program} failed with status ${result.exitCode}${why}`, {
        hint: 'run it again with -v to see the command',
      })
    }
    return { code: result.exitCode, stdout: tails?.stdout() ?? Buffer.from(result.stdout ?? ''), stderr }
  }
}

/** How mount and tar end every failure; the reason stands before. */
const closingWords = /dmesg\(1\)|Error is not recoverable|Exiting with failure status/

/** The second is tar's way of saying it. */
const diskFull = /No space left on device|Wrote only \d+ of \d+ bytes/

/** Milliseconds that a program has for tidying up. */
const grace = 5000

/** Ends a program with all that it has started, which would hold its output open otherwise and go on working. */
function endAll(pid: number | undefined, { terminal, name }: { readonly terminal: boolean; readonly name: NodeJS.Signals }): void {
  if (pid === undefined) return
  try {
    process.kill(terminal ? pid : -pid, name)
  } catch {
    // it has ended by itself
  }
}

/** Bytes that are kept of each output of a program that runs in bounds. */
const tail = 4096

/** Reads it all, so that nobody waits, and answers the last of it. */
function tailOf(stream: Readable | null): () => Buffer {
  let kept = Buffer.alloc(0)
  stream?.on('data', (data: Buffer) => {
    kept = data.length >= tail ? Buffer.from(data.subarray(-tail)) : Buffer.concat([kept.subarray(-(tail - data.length)), data])
  })
  return () => kept
}

/** Kills the whole group of `child` after `limit` milliseconds, and what is left of it once the child has ended. `end` answers whether it was late. */
function bound(child: ChildProcess, limit: number, signal: AbortSignal | undefined): { end(): boolean } {
  let isLate = false
  let grace: NodeJS.Timeout | undefined
  const { pid } = child
  const kill = () => {
    try {
      if (pid !== undefined) process.kill(-pid, 'SIGKILL')
    } catch (error) {
      // all gone already
      if (!hasCode(error, 'ESRCH', 'EPERM')) throw error
    }
    // a process that left the group may still hold them, and would be waited for
    child.stdout?.destroy()
    child.stderr?.destroy()
  }
  const timer = setTimeout(() => {
    isLate = true
    kill()
  }, limit)
  signal?.addEventListener('abort', kill)
  child.once('exit', () => {
    clearTimeout(timer)
    // what it printed last arrives within this
    grace = setTimeout(kill, 200)
  })
  return {
    end: () => {
      clearTimeout(timer)
      clearTimeout(grace)
      signal?.removeEventListener('abort', kill)
      kill()
      return isLate
    },
  }
}

function missing(program: string, cause: unknown): PsyblobError {
  return new PsyblobError('unsupported', `the program ${program} is not installed`, { cause, hint: whereFrom([program]) })
}

function whereFrom(programs: readonly string[]): string {
  const names = (which: 0 | 1) =>
    [...new Set(programs.map((program) => packages[program]?.[which] ?? program))].filter((name) => name !== '')
  const absent = programs.filter((program) => packages[program]?.[0] === '')
  return [
    ...(names(0).length === 0 ? [] : [`on Debian: apt-get install ${names(0).join(' ')}`]),
    `on Alpine: apk add ${names(1).join(' ')}`,
    ...(absent.length === 0 ? [] : [`Debian has no package of ${absent.join(', ')}: build on an Alpine or in a container of it`]),
  ].join('; ')
}
