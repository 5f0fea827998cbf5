// The compressed manifest beside a large one: made, and put back when it was lost (spec/repository.md 9).
import { cidOf, documents, isPsyblobError, limits, type PointedRelease, type Report, readXz } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import type { RemoteWriter } from './remote.ts'

/** Makes an .xz stream of bytes; undefined when this machine cannot. */
export type Compress = (bytes: Uint8Array) => Promise<Uint8Array | undefined>

/** Compressed, if that makes it smaller and our own reader makes the same of it again: nothing is published that nodes would do without. */
export async function usableXz(body: Uint8Array, compress: Compress | undefined): Promise<Uint8Array | undefined> {
  const xz = await compress?.(body)
  if (xz === undefined || xz.length >= body.length) return undefined
  return holds(xz, body) ? xz : undefined
}

/** Puts a compressed manifest back that was lost or damaged; answers its bytes, 0 when it is as it was. */
export async function restoreXz(
  remote: RemoteWriter,
  {
    product,
    pointed,
    compress,
    report,
  }: {
    readonly product: string
    readonly pointed: PointedRelease
    readonly compress: Compress | undefined
    readonly report: Report
  },
): Promise<number> {
  if (compress === undefined || pointed.size <= limits.compressedAbove) return 0
  const name = documents.manifestXz(product, pointed.serial)
  try {
    const body = await remote.read(documents.manifest(product, pointed.serial), { limit: limits.manifest })
    if (body === undefined || cidOf(blake3().digest(body)) !== pointed.manifest) return 0
    const there = await remote.read(name, { limit: limits.manifest })
    if (there !== undefined && holds(there, body)) return 0
    const xz = await usableXz(body, compress)
    if (xz === undefined) return 0
    await remote.replace(name, xz, there)
    return xz.length
  } catch (error) {
    // nodes do without it
    if (!isPsyblobError(error, 'corrupt', 'malformed', 'unavailable')) throw error
    report({ type: 'warning', text: `${name} was not looked at: ${error.message}` })
    return 0
  }
}

function holds(xz: Uint8Array, body: Uint8Array): boolean {
  try {
    return Buffer.compare(readXz(xz, body.length, 'compressed manifest'), body) === 0
  } catch (error) {
    if (isPsyblobError(error)) return false
    throw error
  }
}
