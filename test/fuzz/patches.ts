// Patches: the head with its groups, and the steps of one group. What they are applied to is a small old blob; encoders are toys, for their bytes are their own.
import {
  applyGroup,
  formatPatchHead,
  isPsyblobError,
  limits,
  type Patch,
  parsePatch,
  parsePatchHead,
  patchHeadBytes,
  patchTableBytes,
} from '../../core/mod.ts'
import { unpackStream } from '../../store/patches/streams.ts'
import { memoryMachine, numbers, step } from '../fixtures/patches.ts'
import { vectorTexts } from './seeds.ts'
import { expectThat, type Target } from './target.ts'

const fromHex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))
const old = Uint8Array.from({ length: 2000 }, (_, at) => at * 7)
/** More would be work that is asked for by right: the head says so. */
const mostNext = 256 * 1024
const mostMade = 64 * 1024

/** The old blob, where nothing outside of it is read, and what comes out. */
function watchedMachine() {
  let written = 0
  const inside = (at: number, length: number) =>
    expectThat(
      Number.isSafeInteger(at) && at >= 0 && length >= 0 && at + length <= old.length,
      `bytes ${at} to ${at + length} of the old blob`,
    )
  const machine = memoryMachine(old, {
    read(at, length) {
      inside(at, length)
      return old.subarray(at, at + length)
    },
    write({ length }) {
      written += length
    },
    copy(from, length) {
      inside(from, length)
      written += length
    },
  })
  return { machine, written: () => written }
}

function parsedGroups(patch: Patch, input: Uint8Array): string {
  let done = 0
  for (const group of patch.groups) {
    let from = group.from
    const [control, differences, inserted] = group.streams.map((stream) => {
      from += stream.packed
      return unpackStream(input.subarray(from - stream.packed, from), stream)
    }) as [Uint8Array, Uint8Array, Uint8Array]
    const { machine, written } = watchedMachine()
    applyGroup({ control, differences, inserted }, group, machine)
    expectThat(written() === group.length, 'a group of another length')
    done++
  }
  return `${Math.min(done, 3)} groups`
}

/** A patch whose sums are what its groups have, which no change of bytes would hit. */
function sealed(input: Uint8Array): Uint8Array {
  if (input.length < patchHeadBytes) return input
  const bytes = Buffer.from(input)
  const [codecs, groups] = [bytes.readUInt32LE(108), bytes.readUInt32LE(112)]
  const table = patchTableBytes({ codecs, groups })
  if (codecs > limits.patch.codecs || groups > 100 || table > bytes.length) return input
  let [next, made, packed] = [0n, 0n, 0]
  for (let at = table - 40 * groups; at < table; at += 40) {
    next += bytes.readBigUInt64LE(at)
    made += BigInt(bytes.readUInt32LE(at + 8))
    for (const field of [28, 32, 36]) packed += bytes.readUInt32LE(at + field)
  }
  bytes.writeBigUInt64LE(next & 0xffffffffffffffffn, 88)
  bytes.writeBigUInt64LE(made, 96)
  // the last stream takes what is there
  const rest = table + packed - bytes.readUInt32LE(table - 4)
  if (groups > 0 && bytes.length >= rest) bytes.writeUInt32LE(bytes.length - rest, table - 4)
  return new Uint8Array(bytes)
}

const patch: Target = {
  name: 'patch',
  material: 'bytes',
  codes: ['malformed', 'unsupported'],
  seeds: async () => vectorTexts('patch', 'patch').map(fromHex),
  seal: sealed,
  parse(input) {
    // a node looks at the fixed part alone, first
    const head = input.length < patchHeadBytes ? undefined : parsePatchHead(input.subarray(0, patchHeadBytes), 'patch')
    const parsed = parsePatch(input, input.length, 'patch')
    expectThat(head?.groups === parsed.groups.length && head.codecs === parsed.codecs.length, 'a head of another patch')
    const table = formatPatchHead(parsed)
    expectThat(Buffer.compare(table, input.subarray(0, table.length)) === 0, 'written again it is another')
    if (parsed.next.size > mostNext || parsed.made > mostMade) return 'a large one'
    try {
      return parsedGroups(parsed, input)
    } catch (error) {
      if (!isPsyblobError(error, 'malformed')) throw error
      return `refused: ${error.message.replaceAll(/\d+/g, '0')}`
    }
  },
}

const headBytes = 12

/** Length, made, and where differences and inserted begin, then the three streams. */
function groupInput(length: number, made: number, streams: readonly [Uint8Array, Uint8Array, Uint8Array]): Uint8Array {
  const head = Buffer.alloc(headBytes)
  head.writeUInt32LE(length, 0)
  head.writeUInt32LE(made, 4)
  head.writeUInt16LE(streams[0].length, 8)
  head.writeUInt16LE(streams[0].length + streams[1].length, 10)
  return new Uint8Array(Buffer.concat([head, ...streams]))
}

const patchGroup: Target = {
  name: 'patch-group',
  material: 'bytes',
  codes: ['malformed'],
  async seeds() {
    const patches = vectorTexts('patch', 'patch', ({ expect }) => expect === 'ok').map(fromHex)
    const groups = patches.flatMap((input) =>
      parsePatch(input, input.length, 'patch').groups.map(({ from, length, made, streams }) => {
        let at = from
        const parts = streams.map((stream) => {
          at += stream.packed
          return unpackStream(input.subarray(at - stream.packed, at), stream)
        }) as [Uint8Array, Uint8Array, Uint8Array]
        return groupInput(length, made, parts)
      }),
    )
    const packed = numbers(
      step.unit,
      0,
      2,
      3,
      [9],
      5,
      400,
      10,
      90,
      6,
      0,
      30,
      120,
      1,
      100,
      20,
      [-7],
      step.emit,
      2,
      60,
      step.emitMetadata,
      0,
      60,
    )
    return [...groups, groupInput(123, 120, [packed, numbers(100, 0), new Uint8Array(20)])]
  },
  parse(input) {
    if (input.length < headBytes) return 'nothing'
    const view = new DataView(input.buffer, input.byteOffset)
    const [length, made] = [view.getUint32(0, true), Math.min(mostMade, view.getUint32(4, true))]
    const [one, two] = [view.getUint16(8, true), view.getUint16(10, true)]
    const streams = input.subarray(headBytes)
    const { machine, written } = watchedMachine()
    applyGroup(
      { control: streams.subarray(0, one), differences: streams.subarray(one, two), inserted: streams.subarray(two) },
      { length, made },
      machine,
    )
    expectThat(written() === length, 'a group of another length')
    return `${Math.min(made, 1)} made`
  },
}

export const patchTargets: readonly Target[] = [patch, patchGroup]
