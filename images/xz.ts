// .xz streams, made by the program of that name: the packages that there are for it store bytes and compress nothing.
import { isPsyblobError, type Report } from '../core/mod.ts'
import { openRun } from './run.ts'

type XzOptions = { readonly report: Report; readonly signal: AbortSignal }
type Compress = (bytes: Uint8Array) => Promise<Uint8Array | undefined>

/** Makes the .xz of a manifest; undefined, with a word about it, where there is no xz, or one that only decompresses. */
export function xzCompressor(options: XzOptions): Compress {
  return xz('-6', { ...options, without: 'the manifest is published without a compressed one' })
}

/** Makes the .xz of a stream of a patch: as small as it gets, in memory that a node has. */
export function xzStreams(options: XzOptions): Compress {
  return xz('--lzma2=preset=9e,dict=16MiB,lc=4,pb=0', { ...options, without: 'patches are packed with brotli, and somewhat larger' })
}

function xz(how: string, { report, signal, without }: XzOptions & { readonly without: string }): Compress {
  let isMissing = false
  return async (input) => {
    if (isMissing) return undefined
    try {
      // one thread is one block, and the same bytes on every machine
      const argv = ['xz', '--compress', '--stdout', '--format=xz', '--check=crc32', '--threads=1', how] as const
      return (await openRun(report)(argv, { input, env: { XZ_DEFAULTS: '', XZ_OPT: '' }, signal })).stdout
    } catch (error) {
      if (!isPsyblobError(error, 'command-failed', 'unsupported')) throw error
      isMissing = true
      report({ type: 'trace', text: `${without}: ${error.message}` })
      return undefined
    }
  }
}
