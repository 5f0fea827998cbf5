// The only door to other programs: an argument vector, never a shell. Every run can be traced.
import { PsyblobError, type Report, visible } from '../core/mod.ts'

export type RunOptions = { /** Exit codes that are no failure. */ readonly allow?: readonly number[] }
export type RunResult = { readonly code: number; readonly stdout: Buffer; readonly stderr: string }
export type Run = (argv: readonly [string, ...string[]], options?: RunOptions) => Promise<RunResult>

/** Which package has a program: Debian's name, then Alpine's. */
const packages: Readonly<Record<string, readonly [string, string]>> = {
  losetup: ['mount', 'losetup'],
  mount: ['mount', 'mount'],
  umount: ['mount', 'umount'],
  blkid: ['util-linux', 'blkid'],
  mcopy: ['mtools', 'mtools'],
  mmd: ['mtools', 'mtools'],
  mshowfat: ['mtools', 'mtools'],
  reboot: ['systemd-sysv', 'busybox'],
}

/** Errors: `unsupported` (the program is not there), `command-failed` (with its last line). */
export function openRun(report: Report): Run {
  return async ([program, ...args], { allow = [] } = {}) => {
    report({
      type: 'trace',
      text: `run ${[program, ...args].map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(' ')}`,
    })
    // loaded when the first program runs: slots that are folders need none
    const { execa } = await import('execa')
    const result = await execa(program, args, {
      reject: false,
      encoding: 'buffer',
      stdin: 'ignore',
      // bytes as they are: a file that is read through a program may end with a line feed
      stripFinalNewline: false,
      // a plain su leaves PATH without the places of losetup and blkid
      env: { LC_ALL: 'C', MTOOLS_SKIP_CHECK: '1', PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` },
      // an interrupt from the keyboard is for us: a program cut short would be a failure where there is none
      detached: true,
    })
    const stderr = Buffer.from(result.stderr).toString('utf8')
    if (result.exitCode === undefined) {
      if (result.code === 'ENOENT') throw missing(program, result)
      throw new PsyblobError('command-failed', `${program} did not run: ${visible(result.shortMessage ?? 'unknown reason')}`, {
        cause: result,
        hint: 'run it again with -v to see the command',
      })
    }
    if (result.exitCode !== 0 && !allow.includes(result.exitCode)) {
      // mount ends every failure by pointing at dmesg; the reason stands before
      const lines = stderr.trim().split('\n')
      const line = (lines.findLast((text) => !text.includes('dmesg(1)')) ?? '').trim()
      throw new PsyblobError('command-failed', `${program} failed with status ${result.exitCode}: ${visible(line.slice(0, 300))}`, {
        hint: 'run it again with -v to see the command',
      })
    }
    return { code: result.exitCode, stdout: Buffer.from(result.stdout), stderr }
  }
}

function missing(program: string, cause: unknown): PsyblobError {
  const [debian, alpine] = packages[program] ?? [program, program]
  return new PsyblobError('unsupported', `the program ${program} is not installed`, {
    cause,
    hint: `on Debian: apt-get install ${debian}; on Alpine: apk add ${alpine}`,
  })
}
