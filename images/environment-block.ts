// GRUB's environment block: 1,024 bytes of `name=value` lines, filled up with `#` (GRUB manual, "The GRUB environment block").
import { utf8Encode } from '../core/mod.ts'

export const blockBytes = 1024
/** All variables lie in the first sector: one write changes them all. */
export const sectorBytes = 512
const header = '# GRUB Environment Block\n'

/** The variables in order of appearance; undefined when it is no such block, or a name stands twice. */
export function parseEnvironment(bytes: Uint8Array): ReadonlyMap<string, string> | undefined {
  if (bytes.length !== blockBytes) return undefined
  const text = Buffer.from(bytes).toString('latin1')
  if (!text.startsWith(header)) return undefined
  const variables = new Map<string, string>()
  const lines = text.slice(header.length).split('\n')
  // what follows the last line feed is the filling
  if (!/^#*$/.test(lines.pop() ?? '')) return undefined
  for (const line of lines) {
    if (line.startsWith('#')) continue
    const equals = line.indexOf('=')
    if (equals < 1 || variables.has(line.slice(0, equals))) return undefined
    variables.set(line.slice(0, equals), line.slice(equals + 1))
  }
  return variables
}

export function formatEnvironment(variables: Readonly<Record<string, string>>): Uint8Array {
  const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`)
  const text = `${header}${lines.join('')}`
  if (text.length > sectorBytes) throw new RangeError(`${text.length} bytes of variables do not fit into one sector`)
  return utf8Encode(text.padEnd(blockBytes, '#'))
}
