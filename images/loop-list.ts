// Which loop devices there are: losetup(8).
import { PsyblobError, visible } from '../core/mod.ts'
import type { Run } from './run.ts'
import type { SlotName } from './slot.ts'

export type Listed = {
  readonly name: string
  /** Bytes. */
  readonly offset: number
  /** Bytes; 0: up to the end of the file. */
  readonly sizeLimit: number
  readonly isReadOnly: boolean
  readonly file: string
  /** `major:minor` of the file system that the file lies on. */
  readonly fileSystem: string
}

type Row = Readonly<Record<'name' | 'offset' | 'sizelimit' | 'back-file' | 'back-maj:min', string | number>> & { readonly ro: boolean }

async function list(run: Run, of: readonly string[]): Promise<readonly Listed[]> {
  const { stdout } = await run(['losetup', '--json', '--output', 'NAME,OFFSET,SIZELIMIT,RO,BACK-FILE,BACK-MAJ:MIN', ...of])
  const rows = stdout.length === 0 ? [] : (JSON.parse(stdout.toString('utf8')) as { loopdevices: readonly Row[] }).loopdevices
  return rows.map((row) => ({
    name: String(row.name),
    offset: Number(row.offset),
    sizeLimit: Number(row.sizelimit),
    isReadOnly: row.ro,
    file: String(row['back-file']),
    fileSystem: String(row['back-maj:min']).trim(),
  }))
}

/** Those that show the file at `path`, which has no links in it. */
export async function loopsOf(path: string, run: Run): Promise<readonly Listed[]> {
  return (await list(run, ['-j', path])).filter((loop) => loop.file === path)
}

/** One that shows a file of the file system with that `major:minor`: somebody runs from it. */
export async function loopInside(device: string, run: Run): Promise<string | undefined> {
  return (await list(run, [])).find((loop) => loop.fileSystem === device)?.name
}

/** The refusal to write a slot that a loop device shows a file of. */
export function slotInUse(slot: SlotName, label: string, loop: string): PsyblobError {
  return new PsyblobError('conflict', `slot ${slot} is in use: ${loop} shows a file of ${visible(label)}`, {
    hint: `something runs from that slot. Say which slot is booted with --booted ${slot}, or unmount what uses it`,
  })
}

/** Lets go of the device: at once when nothing is mounted from it, else when that is unmounted, even if this process dies before. */
export async function detachLoop(device: string, run: Run): Promise<void> {
  await run(['losetup', '--detach', device], { allow: [1] })
}
