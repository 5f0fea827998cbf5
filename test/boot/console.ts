// A shell on a guest's serial console, as a person at it would use it.
import type { Guest } from './qemu.ts'
import { readable } from './qemu.ts'

export type Said = { readonly code: number; readonly output: string }

/** Waits for a shell that answers. The kernel may talk in between: asked again until it does. */
export async function shell(guest: Guest, seconds: number): Promise<void> {
  const deadline = performance.now() + seconds * 1000
  for (let at = 0; ; at++) {
    guest.send(`\necho "[ready" ${at}]\n`)
    const left = (deadline - performance.now()) / 1000
    try {
      await guest.waitFor(/\[ready \d+\]/, Math.min(3, Math.max(left, 0.1)))
      return
    } catch (error) {
      if (guest.ended || left < 0) throw error
    }
  }
}

/** Runs a line in the guest's shell; what it printed, and its exit status. */
async function ask(guest: Guest, line: string, seconds = 120): Promise<Said> {
  const mark = `m${Math.random().toString(36).slice(2, 8)}`
  // the typed line is echoed: the mark is put together only when it runs
  guest.send(`echo "[${mark}"-begin]; ${line}; echo "[${mark}"-"end $?]"\n`)
  await guest.waitFor(new RegExp(`\\[${mark}-begin\\]`), seconds)
  const before = guest.output.length
  const found = await guest.waitFor(new RegExp(`\\[${mark}-end (\\d+)\\]`), seconds)
  const output = readable(guest.output.slice(Math.max(0, before - 200)))
  const from = output.indexOf(`[${mark}-begin]`)
  const to = output.indexOf(`[${mark}-end `)
  return { code: Number(found[1]), output: output.slice(from < 0 ? 0 : from + mark.length + 8, to < 0 ? undefined : to).trim() }
}

/** As `ask`, but it must end well. */
export async function must(guest: Guest, line: string, seconds?: number): Promise<string> {
  const { code, output } = await ask(guest, line, seconds)
  if (code !== 0) throw new Error(`in the guest, ${line}: exit ${code}\n${output}`)
  return output
}

/** The JSON in what a command printed: others may talk on the console meanwhile. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever a command prints
export function json(output: string): any {
  const line = output.split('\n').find((text) => text.includes('{"') || /^\s*\[/.test(text))
  if (line === undefined) throw new Error(`no JSON in: ${output}`)
  return JSON.parse(line.slice(Math.max(0, line.search(/[[{]/))))
}
