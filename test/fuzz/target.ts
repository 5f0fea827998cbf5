// One parser under attack, and the verdict on what it made of one input.
import { type ErrorCode, PsyblobError, visible } from '../../core/mod.ts'
import type { Material } from './mutator.ts'
import { scratchFolder } from './scratch.ts'

export type Target = {
  readonly name: string
  readonly material: Material
  /** What somebody wrote, good and bad: inputs are made from it. */
  seeds(): Promise<readonly Uint8Array[]>
  /**
   * Reads the input. What is said of an accepted one, so that parsing and writing again give the same, is checked in here: anything thrown
   * that is not one of `codes` is a finding. Answers a few words about what it was, so that kinds of inputs are told apart.
   */
  parse(input: Uint8Array): string | Promise<string>
  readonly codes: readonly ErrorCode[]
  /** Every refusal says what to do next. */
  readonly isHelpful?: true
  /** A decompressor: what it throws is its own business, what it answers and takes is not. */
  readonly mayThrow?: true
  /** Makes checksums right again, which no change of bytes gets past. */
  seal?(input: Uint8Array): Uint8Array
}

export type Budget = {
  /** Of the processor, for one input. */
  readonly milliseconds: number
  /** By which the process may grow for one input. */
  readonly bytes: number
}

/** Inputs are small: more than this is a weapon. */
export const budget: Budget = { milliseconds: 1000, bytes: 160 * 1024 * 1024 }

export type Verdict = {
  /** What sort of outcome: equal for inputs that went the same way. */
  readonly kind: string
  /** What is wrong, in one line. */
  readonly finding?: string
}

/** Longer messages are somebody else's text. */
const longestMessage = 2500

/** A message without what differs from input to input. */
function outline(text: string): string {
  return (
    text
      .replaceAll(scratchFolder(), '')
      .replace(/".*"?/s, '""')
      // what comes behind these words is the input itself
      .replace(/(of psyblob|kind|address):? .*/s, '$1')
      .replace(/\b(got|received) .*/s, '')
      .replace(/\d+/g, '0')
      .slice(0, 60)
  )
}

type Wrong = { readonly kind: string; readonly finding: string }

function wrongWith(error: PsyblobError, { codes, isHelpful }: Target): Wrong | undefined {
  const { code, message, hint = '' } = error
  const start = visible(message.slice(0, 200))
  if (!codes.includes(code))
    return {
      kind: `wrong ${code} ${outline(message)}`,
      finding: `refused as ${code}, expected ${codes.join(' or ') || 'no refusal'}: ${start}`,
    }
  const text = `${message} ${hint}`
  if (visible(text) !== text) return { kind: 'steering', finding: `prints what steers a terminal: ${start}` }
  if (text.length > longestMessage) return { kind: 'long', finding: `prints ${text.length} characters: ${start}` }
  if (message.trim() === '') return { kind: 'silent', finding: 'refused without a message' }
  if (isHelpful === true && hint.trim() === '') return { kind: `helpless ${outline(message)}`, finding: `refused without a hint: ${start}` }
  return undefined
}

const builtIn: readonly object[] = [Object.prototype, Array.prototype, Function.prototype, String.prototype]
const ownKeys = () => builtIn.reduce<number>((sum, one) => sum + Reflect.ownKeys(one).length, 0)
const keysBefore = ownKeys()

/** Node prints warnings by itself, past everything that makes them readable. */
let warning: string | undefined
process.emitWarning = (text: string | Error) => {
  warning = String(text)
}

/** How much memory this process ever took, in bytes. */
const most = () => process.resourceUsage().maxRSS * 1024

/** Runs `target` on one input. */
export async function judge(target: Target, input: Uint8Array, { milliseconds, bytes }: Budget = budget): Promise<Verdict> {
  const memory = most()
  warning = undefined
  const began = process.cpuUsage()
  let verdict: Verdict
  try {
    verdict = { kind: `read: ${await target.parse(new Uint8Array(input))}` }
  } catch (error) {
    verdict = verdictOf(error, target)
  }
  const { user, system } = process.cpuUsage(began)
  const spent = Math.round((user + system) / 1000)
  const grown = most() - memory
  if (warning !== undefined) return { kind: 'warning', finding: `prints a warning of its own: ${visible(warning)}` }
  if (ownKeys() !== keysBefore) return { kind: 'pollution', finding: 'changed what every object has' }
  if (spent > milliseconds) return { kind: 'slow', finding: `took ${spent} ms for ${input.length} bytes` }
  if (grown > bytes) return { kind: 'large', finding: `took ${Math.round(grown / 2 ** 20)} MiB for ${input.length} bytes` }
  return verdict
}

function verdictOf(error: unknown, target: Target): Verdict {
  if (error instanceof PsyblobError) {
    return wrongWith(error, target) ?? { kind: `${error.code}: ${outline(error.message)}` }
  }
  if (target.mayThrow === true && !(error instanceof Broken)) return { kind: `threw: ${outline(String(error))}` }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  const [first = '', ...rest] = text.split('\n')
  const where = rest.find((line) => line.trim().startsWith('at '))?.trim() ?? ''
  return { kind: `bug ${outline(first)}`, finding: visible(`${first.slice(0, 300)} ${where}`) }
}

/** What was accepted is not what it should be. */
class Broken extends Error {}

/** Throws `Broken`. */
export function expectThat(isSo: boolean, what: string): void {
  if (!isSo) throw new Broken(what)
}
