// What carries out a group of a patch on this machine: the old blob as a file, decoders, encoders. Synchronous: it belongs into a thread.
import { readSync } from 'node:fs'
import { type PatchCodec, type PatchMachine, PsyblobError, Scratch, type SourcePacking } from '../../core/mod.ts'
import { squashfsUnpacker, type Unpack } from '../squashfs-codecs.ts'
import { type Encode, loadEncoder } from './encoders.ts'
import { Garbage } from './garbage.ts'

/** Bytes of an open file, exactly so many. Throws `corrupt` when it ends before. */
export function readExactly(file: number, at: number, length: number, bytes: Uint8Array = Buffer.allocUnsafeSlow(length)): Uint8Array {
  for (let got = 0; got < length; ) {
    const more = readSync(file, bytes, got, length - got, at + got)
    if (more === 0) throw new PsyblobError('corrupt', `a file ends ${length - got} bytes too early`, { hint: 'somebody changed it' })
    got += more
  }
  return bytes
}

export type Tools = { readonly unpack: Unpack; readonly encode: readonly Encode[] }

/** What native code undoes is left alone: nobody limits its memory. */
export function isUnpackable(packing: SourcePacking): boolean {
  return packing !== 'lzma' && packing !== 'lzo'
}

/** Throws `unsupported` when a decoder or an encoder is not to be had here. */
export async function loadTools(packing: SourcePacking, codecs: readonly PatchCodec[]): Promise<Tools> {
  const unpack = isUnpackable(packing) && packing !== 'none' ? await squashfsUnpacker(packing) : undefined
  if (unpack === undefined && packing !== 'none')
    throw new PsyblobError('unsupported', `nothing here undoes ${packing}`, { hint: 'psyblob is not installed whole' })
  const encode: Encode[] = []
  for (const { name, level } of codecs) encode.push(await loadEncoder(name, level))
  return { unpack: unpack ?? refuse, encode }
}

function refuse(): never {
  throw new PsyblobError('malformed', 'a packed source in a patch that knows none')
}

/** A machine over the open file `old` of `size` bytes; what it makes goes to `take`, with the place of what it copies to `copy`. */
export function fileMachine(
  { old, size, tools }: { readonly old: number; readonly size: number; readonly tools: Tools },
  sink: Pick<PatchMachine, 'write' | 'copy'>,
): PatchMachine {
  const garbage = new Garbage()
  const scratch = new Scratch()
  return {
    size,
    read: (at, length) => readExactly(old, at, length, scratch.take(length)),
    unpack(bytes, length) {
      garbage.made(length)
      return tools.unpack(bytes, length)
    },
    encode(codec, bytes) {
      const encode = tools.encode[codec - 1]
      if (encode === undefined) throw new PsyblobError('malformed', `a patch without a codec ${codec}`)
      garbage.made(bytes.length)
      return encode(bytes)
    },
    ...sink,
  }
}
