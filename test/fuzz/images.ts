// Chunk indexes, and squashfs images with the decompressors of their metadata.
import {
  ChunkIndexBuilder,
  ChunkTable,
  type Compressor,
  chunks,
  indexPages,
  limits,
  parseChunkIndex,
  readSquashfs,
  squashfsCutter,
} from '../../core/mod.ts'
import { indexTree } from '../../store/index-tree.ts'
import { decompressLzo } from '../../store/lzo.ts'
import { squashfsCodec } from '../../store/squashfs-codecs.ts'
import { base64, vectorTexts } from './seeds.ts'
import { expectThat, type Target } from './target.ts'

const fromHex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))

function manyChunks(count: number): Uint8Array {
  const builder = new ChunkIndexBuilder()
  for (let chunk = 0; chunk < count; chunk++) builder.add(1 + ((chunk * 977) % 32768), new Uint8Array(32).fill(chunk * 7))
  return builder.finish()
}

const chunkIndex: Target = {
  name: 'chunk-index',
  material: 'bytes',
  codes: ['malformed'],
  isHelpful: true,
  seeds: async () => [manyChunks(1), manyChunks(300), ...vectorTexts('chunk-index', 'bytes').map(fromHex)],
  parse(input) {
    // the size is a manifest's word: here the index is taken at its own
    const size = input.length < 24 ? 0 : Number(new DataView(input.buffer).getBigUint64(16, true))
    const index = parseChunkIndex(input, size, 'index')
    const builder = new ChunkIndexBuilder()
    builder.append(index, 0)
    expectThat(Buffer.compare(builder.finish(), input) === 0, 'written again it is another')
    const table = new ChunkTable(index)
    for (let chunk = 0; chunk < Math.min(index.count, 100); chunk++) {
      expectThat(index.at(index.offset(chunk)) === chunk, 'a chunk that is not where it is')
      const found = table.find(index.digest(chunk))
      expectThat(found !== undefined && Buffer.compare(index.digest(found), index.digest(chunk)) === 0, 'a chunk that is not found')
    }
    return `${Math.min(index.count, 5)} chunks`
  },
}

/** Whatever a kept blob is, its pages are its bytes. */
const indexPage: Target = {
  name: 'index-pages',
  material: 'bytes',
  codes: [],
  seeds: async () => [manyChunks(20), manyChunks(300)],
  parse(input) {
    let sum = 0
    for (const length of indexPages(input)) {
      expectThat(length > 0 && length <= limits.chunk, `a page of ${length} bytes`)
      sum += length
    }
    expectThat(sum === input.length, 'pages that are not all of it')
    const { blobs } = indexTree(input)
    for (const [level, { bytes }] of blobs.entries()) if (level > 0) parseChunkIndex(bytes, blobs[level - 1]?.bytes.length ?? 0, 'pages')
    return `${blobs.length} levels`
  },
}

const squashfs: Target = {
  name: 'squashfs',
  material: 'bytes',
  codes: [],
  seeds: async () => vectorTexts('squashfs', 'base64').map(base64),
  async parse(input) {
    let reads = 0
    const read = async (at: number, length: number) => {
      reads++
      return input.subarray(at, at + length)
    }
    const layout = await readSquashfs({ read, codec: squashfsCodec }, input.length)
    if (layout === undefined) return `none, seen after ${reads} looks`
    const { start, ends } = layout
    expectThat(start >= 96 && start < (ends[0] ?? 0) && (ends.at(-1) ?? 0) <= input.length, 'blocks outside the image')
    expectThat(
      ends.every((end, at) => at === 0 || end > (ends[at - 1] ?? 0)),
      'ends that do not ascend',
    )
    let sum = 0
    const source = async function* () {
      yield input
    }
    for await (const chunk of chunks(source(), { cutter: squashfsCutter(layout) })) {
      expectThat(chunk.length > 0 && chunk.length <= limits.chunk, `a chunk of ${chunk.length} bytes`)
      sum += chunk.length
    }
    expectThat(sum === input.length, 'chunks that are not all of it')
    return `${Math.min(ends.length, 10)} blocks`
  },
}

const compressors: readonly Compressor[] = ['gzip', 'lzma', 'lzo', 'xz', 'lz4', 'zstd']

/** The first metadata block of each table of an image, where it is compressed. */
function metadataOf(image: Uint8Array): readonly Uint8Array[] {
  if (image.length < 96) return []
  const view = new DataView(image.buffer)
  return [64, 72].flatMap((field) => {
    const at = Number(view.getBigUint64(field, true))
    if (at + 2 > image.length) return []
    const header = view.getUint16(at, true)
    return (header & 0x8000) === 0 && header > 0 && at + 2 + header <= image.length ? [image.slice(at + 2, at + 2 + header)] : []
  })
}

function codec(compressor: Compressor): Target {
  return {
    name: `codec-${compressor}`,
    material: 'bytes',
    // lz4 is our own, and says what is wrong as the house does
    codes: compressor === 'lz4' ? ['malformed'] : [],
    mayThrow: true,
    seeds: async () =>
      vectorTexts('squashfs', 'base64')
        .map(base64)
        .filter((image) => image.length >= 96 && compressors[new DataView(image.buffer).getUint16(20, true) - 1] === compressor)
        .flatMap(metadataOf),
    async parse(input) {
      const decompress = await squashfsCodec(compressor)
      expectThat(decompress !== undefined, 'no codec')
      // what is longer is refused before a codec sees it
      const stored = input.subarray(0, 8192)
      const bytes = decompress?.(stored) ?? new Uint8Array()
      expectThat(bytes.length <= 8192, `${bytes.length} bytes of one block`)
      if (compressor === 'lzo')
        expectThat(Buffer.compare(decompressLzo(stored, bytes.length), bytes) === 0, 'another result with less room')
      return `${Math.min(bytes.length, 1)}`
    },
  }
}

export const imageTargets: readonly Target[] = [chunkIndex, indexPage, squashfs, ...compressors.map(codec)]
