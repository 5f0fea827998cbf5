// What the kernel has mounted (proc_pid_mountinfo(5)), and which device is which.
import { readFile, stat } from 'node:fs/promises'

export type Mount = { /** `major:minor`. */ readonly device: string; readonly dir: string; readonly writable: boolean }

/** Mounts of whole file systems, in order. */
export async function mounts(): Promise<readonly Mount[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')).split('\n')
  return lines.flatMap((line) => {
    const [, , device, root, dir, options] = line.split(' ')
    if (device === undefined || root !== '/' || dir === undefined || options === undefined) return []
    const plain = dir.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
    return [{ device, dir: plain, writable: options.split(',').includes('rw') }]
  })
}

/** `major:minor` of a block device; undefined when `path` is none. */
export async function deviceNumber(path: string): Promise<string | undefined> {
  const state = await stat(path).catch(() => undefined)
  if (state?.isBlockDevice() !== true) return undefined
  return numberText(state.rdev)
}

/** `major:minor` of a device number as stat(2) gives it. */
export function numberText(device: number): string {
  const number = BigInt(device)
  return `${((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn)}:${(number & 0xffn) | ((number >> 12n) & ~0xffn)}`
}
