// A patch applied in memory, as spec/patch.md 9 says, with everything judged at the end.
import { applyGroup, type CID, cidOf, PsyblobError, parsePatch } from '../../core/mod.ts'
import { blake3 } from '../../store/blake3.ts'
import { loadTools } from '../../store/patches/file-machine.ts'
import { unpackStream } from '../../store/patches/streams.ts'
import { memoryMachine } from '../fixtures/patches.ts'

function expectBlob(bytes: Uint8Array, { cid, size }: { readonly cid: CID; readonly size: number }, what: string): void {
  if (bytes.length !== size || cidOf(blake3().digest(bytes)) !== cid) throw new PsyblobError('corrupt', `${what} is another one`)
}

/** The new blob. Throws `malformed`, `unsupported`, `corrupt`. */
export async function appliedPatch(old: Uint8Array, patch: Uint8Array): Promise<Uint8Array> {
  const { groups, codecs, packing, ...head } = parsePatch(patch, patch.length, 'patch')
  expectBlob(old, head.old, 'the old blob')
  const { unpack, encode } = await loadTools(packing, codecs)
  const parts: Uint8Array[] = []
  for (const group of groups) {
    let from = group.from
    const [control, differences, inserted] = group.streams.map((stream) => {
      from += stream.packed
      return unpackStream(patch.subarray(from - stream.packed, from), stream)
    }) as [Uint8Array, Uint8Array, Uint8Array]
    const machine = memoryMachine(old, {
      unpack,
      encode(codec, bytes) {
        const encoder = encode[codec - 1]
        if (encoder === undefined) throw new PsyblobError('malformed', `no codec ${codec}`)
        return encoder(bytes)
      },
    })
    applyGroup({ control, differences, inserted }, group, machine)
    parts.push(machine.made())
  }
  const next = new Uint8Array(Buffer.concat(parts))
  expectBlob(next, head.next, 'the new blob')
  return next
}
