// Does the jobs: of a thread of its own, or where there is none. Files stay open, decoders and encoders loaded.
import { closeSync, openSync } from 'node:fs'
import {
  applyGroup,
  bsdiff,
  type GroupContent,
  type GroupOutline,
  metadataHeadBytes,
  type Piece,
  tableText,
  writeGroup,
} from '../../core/mod.ts'
import { fileMachine, loadTools, readExactly, type Tools } from './file-machine.ts'
import type { Answer, Job, MadeBytes, Setting } from './job.ts'
import { unpackStream } from './streams.ts'

const copiedAtOnce = 1024 * 1024

export class Workbench {
  readonly #setting: Setting
  readonly #tools: Tools
  readonly #nextTools: Tools | undefined
  readonly #files: readonly number[]

  private constructor(setting: Setting, tools: Tools, nextTools: Tools | undefined) {
    this.#setting = setting
    this.#tools = tools
    this.#nextTools = nextTools
    this.#files = [setting.old.path, setting.next?.side.path ?? setting.patch ?? setting.old.path].map((path) => openSync(path, 'r'))
  }

  /** Throws `unsupported` when a decoder or an encoder is not to be had here, and what opening files throws. */
  static async open(setting: Setting): Promise<Workbench> {
    const tools = await loadTools(setting.packing, setting.codecs)
    return new Workbench(setting, tools, setting.next === undefined ? undefined : await loadTools(setting.next.packing, []))
  }

  close(): void {
    for (const file of this.#files) closeSync(file)
  }

  /** Answers `fail` for whatever goes wrong. */
  do(job: Job): Answer {
    try {
      switch (job.do) {
        case 'make':
          return this.#make(job.group)
        case 'check':
          return this.#check(job)
        case 'probe':
          return this.#probe(job)
        case 'apply':
          return this.#apply(job)
        case 'measure':
          return this.#measure(job)
      }
    } catch (error) {
      return { did: 'fail', why: error instanceof Error ? error.message : 'unknown' }
    }
  }

  get #old(): number {
    return this.#files[0] as number
  }

  get #other(): number {
    return this.#files[1] as number
  }

  #make(group: GroupOutline): Answer {
    const before = new Unpacked(this.#old, this.#tools)
    const after = new Unpacked(this.#other, this.#nextTools as Tools)
    const content: GroupContent = {
      difference: ({ sources, pieces, tables }) => {
        const old = joined(sources.map(({ piece, from, length }) => before.bytes(piece).subarray(from, from + length)))
        const next = joined(pieces.map((piece) => after.bytes(piece)))
        if (tables === undefined) return bsdiff(old, next)
        const stored = (list: readonly Piece[], { inodeBlocks, nameBlocks }: typeof tables.old) =>
          list.slice(0, inodeBlocks + nameBlocks).map(({ length }) => length)
        const sourcePieces = sources.map(({ piece }) => piece)
        return bsdiff(
          tableText(old, tables.old, stored(sourcePieces, tables.old)),
          tableText(next, tables.next, stored(pieces, tables.next)),
        )
      },
      literal: (at, length) => readExactly(this.#other, at, length),
      codec: ({ isMetadata }) => (isMetadata ? this.#setting.codecs.length : 1),
    }
    const { made, ...streams } = writeGroup(group.steps, content)
    return { did: 'make', streams, made }
  }

  #check({ group, packed }: Extract<Job, { do: 'check' }>): Answer {
    const [control, differences, inserted] = packed.streams.map((stream) => unpackStream(stream.bytes, stream)) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ]
    let at = group.at
    let isRight = true
    const wrong: number[] = []
    const pieces = group.steps.flatMap((step) => (step.do === 'emit' ? [step.piece] : []))
    let piece = 0
    const machine = fileMachine(
      { old: this.#old, size: this.#setting.old.size, tools: this.#tools },
      {
        write: (bytes) => {
          const expected = readExactly(this.#other, at, Math.min(bytes.length, Math.max(0, this.#setting.next?.side.size ?? 0) - at))
          if (Buffer.compare(expected, bytes) !== 0) isRight = false
          at += bytes.length
        },
        copy: (from, length) => {
          for (let done = 0; done < length; done += copiedAtOnce) {
            const part = Math.min(copiedAtOnce, length - done)
            if (Buffer.compare(readExactly(this.#old, from + done, part), readExactly(this.#other, at + done, part)) !== 0) isRight = false
          }
          at += length
        },
      },
    )
    const encode: typeof machine.encode = (codec, bytes) => {
      // pieces that are packed come in the order of the group
      while (pieces[piece]?.isPacked === false) piece++
      const own = pieces[piece++] as Piece
      const encoded = machine.encode(codec, bytes)
      const head = own.isMetadata ? metadataHeadBytes : 0
      const expected = readExactly(this.#other, own.at + head, own.length - head)
      if (Buffer.compare(encoded, expected) === 0) return encoded
      wrong.push(own.at)
      // the rest is looked at all the same
      return expected
    }
    applyGroup({ control, differences, inserted }, { length: group.length, made: packed.made }, { ...machine, encode })
    return { did: 'check', wrong, isRight: isRight && wrong.length === 0 }
  }

  #probe({ pieces, codec }: Extract<Job, { do: 'probe' }>): Answer {
    const encode = this.#tools.encode[codec - 1]
    let exact = 0
    for (const [at, length, raw] of pieces) {
      const stored = readExactly(this.#other, at, length)
      const bytes = (this.#nextTools as Tools).unpack(stored, raw)
      if (bytes.length === raw && encode !== undefined && Buffer.compare(encode(bytes), stored) === 0) exact++
    }
    return { did: 'probe', exact }
  }

  /** The best of a few, for others may be at work. */
  #measure({ codec, at, length }: Extract<Job, { do: 'measure' }>): Answer {
    const encode = this.#tools.encode[codec - 1]
    let speed = 1
    for (const place of at) {
      const bytes = readExactly(this.#old, place, length)
      const begun = performance.now()
      encode?.(bytes)
      speed = Math.max(speed, (length * 1000) / (performance.now() - begun))
    }
    return { did: 'measure', speed }
  }

  #apply({ group, wanted }: Extract<Job, { do: 'apply' }>): Answer {
    let from = group.from
    const [control, differences, inserted] = group.streams.map((stream) => {
      const bytes = readExactly(this.#other, from, stream.packed)
      from += stream.packed
      return unpackStream(bytes, stream)
    }) as [Uint8Array, Uint8Array, Uint8Array]
    const kept = new Kept(wanted)
    let at = group.at
    const machine = fileMachine(
      { old: this.#old, size: this.#setting.old.size, tools: this.#tools },
      {
        write: (bytes) => {
          kept.add(at, bytes.length, (from, into) => into.set(bytes.subarray(from - at, from - at + into.length)))
          at += bytes.length
        },
        copy: (place, length) => {
          kept.add(at, length, (from, into) => void readExactly(this.#old, place + from - at, into.length, into))
          at += length
        },
      },
    )
    applyGroup({ control, differences, inserted }, group, machine)
    return { did: 'apply', bytes: kept.finish() }
  }
}

/** The bytes of stretches that are wanted, in as many buffers: a group may write them byte by byte. */
class Kept {
  /** Ascending; those before `#first` are full. */
  readonly #stretches: readonly (readonly [from: number, to: number])[]
  readonly #made: { readonly at: number; readonly bytes: Uint8Array; used: number }[] = []
  #first = 0

  constructor(stretches: readonly (readonly [from: number, to: number])[]) {
    this.#stretches = stretches
  }

  /** Of `length` bytes from `at` on those that are wanted: `fill` puts them where they belong. Comes in the order of the blob. */
  add(at: number, length: number, fill: (from: number, into: Uint8Array) => void): void {
    for (let number = this.#first; number < this.#stretches.length; number++) {
      const [begin, end] = this.#stretches[number] as readonly [number, number]
      if (begin >= at + length) return
      if (end <= at) {
        this.#first = number + 1
        continue
      }
      const [low, high] = [Math.max(begin, at), Math.min(end, at + length)]
      let last = this.#made.at(-1)
      if (last?.at !== begin) {
        last = { at: begin, bytes: new Uint8Array(end - begin), used: 0 }
        this.#made.push(last)
      }
      fill(low, last.bytes.subarray(low - begin, high - begin))
      last.used = high - begin
    }
  }

  finish(): readonly MadeBytes[] {
    return this.#made.map(({ at, bytes, used }) => ({ at, bytes: bytes.subarray(0, used) }))
  }
}

/** The bytes of pieces of a file before they were compressed; the last ones are kept. */
class Unpacked {
  readonly #file: number
  readonly #tools: Tools
  #last: Piece | undefined
  #bytes: Uint8Array = new Uint8Array(0)

  constructor(file: number, tools: Tools) {
    this.#file = file
    this.#tools = tools
  }

  bytes(piece: Piece): Uint8Array {
    if (piece === this.#last) return this.#bytes
    const head = piece.isMetadata ? metadataHeadBytes : 0
    const stored = readExactly(this.#file, piece.at + head, piece.length - head)
    this.#bytes = piece.isPacked ? this.#tools.unpack(stored, piece.raw) : stored
    if (this.#bytes.length !== piece.raw) throw new Error(`a piece of ${this.#bytes.length} bytes, it should have ${piece.raw}`)
    this.#last = piece
    return this.#bytes
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}
