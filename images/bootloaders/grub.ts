// GRUB's side of A/B: two copies of what the system says, one count of tries that GRUB keeps (spec/boot-state.md).
import { PsyblobError } from '../../core/mod.ts'
import type { Bootloader, BootState, CopyState } from '../bootloader.ts'
import { formatEnvironment, parseEnvironment, sectorBytes } from '../environment-block.ts'
import type { StateFiles } from '../esp/state-files.ts'
import { otherSlot, type SlotName, slotNames } from '../slot.ts'

/** In the order they are written: when the power goes between them, the other copy still holds. */
const copies = ['state2/select', 'state1/select'] as const
const triesFile = 'tries'
/** Ten digits for ever: the length never changes, no zero leads, and it fits into 31 bits. */
const firstSeq = 1_000_000_000
const lastSeq = 1_999_999_999
/** What `tries` is about before GRUB has counted anything. */
const noSeq = '0000000000'
const seqPattern = /^1\d{9}$/

type Selection = { readonly seq: number; readonly order: readonly [SlotName, SlotName]; readonly good: readonly SlotName[] }

function parseSelection(bytes: Uint8Array): Selection | undefined {
  const variables = parseEnvironment(bytes)
  const seq = variables?.get('seq')
  const order = variables?.get('order')
  const good = variables?.get('good')
  if (variables === undefined || seq === undefined || variables.get('commit') !== seq || !seqPattern.test(seq)) return undefined
  if (order !== 'ab' && order !== 'ba') return undefined
  if (good === undefined || !['', 'a', 'b', 'ab'].includes(good)) return undefined
  return { seq: Number(seq), order: order === 'ab' ? ['a', 'b'] : ['b', 'a'], good: slotNames.filter((name) => good.includes(name)) }
}

function formatSelection({ seq, order, good }: Selection): Uint8Array {
  // commit stands last: a sector that was torn in writing does not end with the seq it begins with
  return formatEnvironment({ seq: String(seq), order: order.join(''), good: [...good].sort().join(''), commit: String(seq) })
}

/** One higher. After a thousand million writes it begins again: until both copies are written the old one counts, as ever. */
function following(seq = firstSeq): number {
  return seq < lastSeq ? Math.max(firstSeq, seq) + 1 : firstSeq + 1
}

/** Those of the slot that stands first; what GRUB counts above them are tries of the other one (grub.md 4). */
const mostTries = 3

type Tries = { readonly for: number; readonly used: number }

function parseTries(bytes: Uint8Array | undefined): Tries | undefined {
  const variables = bytes === undefined ? undefined : parseEnvironment(bytes)
  const about = variables?.get('tries_for')
  const used = variables?.get('tries')
  if (about === undefined || used === undefined || !/^[0-6]$/.test(used)) return undefined
  if (about !== noSeq && !seqPattern.test(about)) return undefined
  return { for: Number(about), used: Math.min(Number(used), mostTries) }
}

type Found = {
  readonly selection: Selection | undefined
  readonly states: readonly [CopyState, CopyState]
  readonly tries: Tries | undefined
}

async function find(files: StateFiles): Promise<Found> {
  const [two, one, tries] = await Promise.all([...copies, triesFile].map((name) => files.read(name)))
  const parsed = [one, two].map((bytes) => (bytes === undefined ? undefined : parseSelection(bytes)))
  const state = (bytes: Uint8Array | undefined, selection: Selection | undefined): CopyState =>
    bytes === undefined ? 'absent' : selection === undefined ? 'damaged' : 'valid'
  const [first, second] = parsed
  const selection = first === undefined || (second !== undefined && second.seq > first.seq) ? second : first
  return { selection, states: [state(one, first), state(two, second)], tries: parseTries(tries) }
}

export function grub(files: StateFiles): Bootloader {
  const read = async (): Promise<BootState> => {
    const { selection, states, tries } = await find(files)
    const used = tries === undefined ? undefined : tries.for === selection?.seq ? tries.used : 0
    return { seq: selection?.seq, order: selection?.order ?? ['a', 'b'], good: selection?.good ?? [], tries: used, copies: states }
  }
  return {
    name: 'grub',
    read,
    async prepare(first = 'a') {
      const { selection, tries } = await find(files)
      // above what tries is about: those tries were of a state that is lost
      const start = selection ?? {
        seq: tries === undefined || tries.for < firstSeq ? firstSeq : following(tries.for),
        order: [first, otherSlot(first)] as const,
        good: [],
      }
      for (const name of copies) {
        const there = await files.read(name)
        if (there === undefined || parseSelection(there) === undefined) await files.create(name, formatSelection(start))
      }
      if (tries === undefined) await files.create(triesFile, formatEnvironment({ tries_for: noSeq, tries: '0' }))
    },
    async write({ order, good }) {
      const { selection, tries } = await find(files)
      const next: Selection = { seq: following(selection?.seq ?? tries?.for), order: [...order], good }
      const bytes = formatSelection(next)
      for (const name of copies) await files.writeSector(name, bytes)
      for (const name of copies) {
        const got = await files.read(name)
        if (got === undefined || Buffer.compare(got.subarray(0, sectorBytes), bytes.subarray(0, sectorBytes)) !== 0) {
          throw new PsyblobError('corrupt', `the boot state ${name} did not stick on ${files.label}`, {
            hint: 'the EFI partition may be failing or mounted read-only; the machine boots as before',
          })
        }
      }
      return read()
    },
  }
}
