// Which process made what it may leave behind: a PID alone is another process in every container and after every boot.
import { createHash } from 'node:crypto'
import { readFile, readlink } from 'node:fs/promises'
import { hasCode } from '../../store/mod.ts'

/** A place where numbers of processes mean the same, the number, the clock tick of the boot at which it began. */
const mark = /^([\da-f]{16})-(\d+)-(\d+)$/

/** Letters, digits and hyphens, for a name. Undefined where the system does not tell. */
export async function ownMark(): Promise<string | undefined> {
  const place = await ownPlace()
  const begin = await beginOf(process.pid)
  return place === undefined || begin === undefined ? undefined : `${place}-${process.pid}-${begin}`
}

/** Whether the process of a mark has ended; undefined when that cannot be told from here. */
export async function isEnded(text: string): Promise<boolean | undefined> {
  const [, place, pid, begin] = mark.exec(text) ?? []
  if (place === undefined || place !== (await ownPlace())) return undefined
  return (await beginOf(Number(pid))) !== begin
}

/** Of this kernel, since it started, and of this container. */
async function ownPlace(): Promise<string | undefined> {
  try {
    // a /proc of another container numbers processes otherwise
    if ((await readlink('/proc/self')) !== String(process.pid)) return undefined
    const parts = [await readFile('/proc/sys/kernel/random/boot_id', 'latin1'), await readlink('/proc/self/ns/pid')]
    return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16)
  } catch {
    return undefined
  }
}

/** proc(5): the 22nd field; the second is a name with anything in it. Undefined: there is no such process. */
async function beginOf(pid: number): Promise<string | undefined> {
  const line = await readFile(`/proc/${pid}/stat`, 'latin1').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT', 'ESRCH')) return ''
    throw error
  })
  return line.slice(line.lastIndexOf(')') + 2).split(' ')[19]
}
