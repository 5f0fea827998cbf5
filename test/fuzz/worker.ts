// The process that parsers run in, for one may not come back, or may take the process with it. What it is at is in a file, so that the input is not lost.
import { openSync, writeSync } from 'node:fs'
import { Hunt } from './hunt.ts'
import { shrunk } from './shrink.ts'
import { judge } from './target.ts'
import { targets } from './targets.ts'

/** What it is told to do: one parser, for a while. */
export type Order = { readonly parser: string; readonly milliseconds: number }
/** What came of it. */
export type Report = {
  readonly parser: string
  readonly executions: number
  /** Ways that inputs went so far. */
  readonly kinds: number
  readonly findings: readonly { readonly kind: string; readonly what: string; readonly input: string }[]
}

const [journal = '', seed = '1'] = process.argv.slice(2)
const file = openSync(journal, 'w')

/** Length and bytes of the input that is tried next. */
function note(input: Uint8Array): void {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(input.length)
  writeSync(file, Buffer.concat([head, input]), 0, head.length + input.length, 0)
}

const hunts = new Map<string, Promise<Hunt>>()
/** A parser and a kind of finding: told once. */
const told = new Set<string>()

async function follow({ parser, milliseconds }: Order): Promise<Report> {
  const target = targets.find(({ name }) => name === parser)
  if (target === undefined) throw new Error(`no parser ${parser}`)
  const opened = hunts.get(parser) ?? Hunt.of(target, { seed: Number(seed), before: note })
  hunts.set(parser, opened)
  const hunt = await opened
  const before = hunt.executions
  const findings: Report['findings'][number][] = []
  for (const end = performance.now() + milliseconds; performance.now() < end; ) {
    const found = await hunt.step()
    if (found === undefined || told.has(`${parser} ${found.kind}`)) continue
    told.add(`${parser} ${found.kind}`)
    const input = await shrunk(found.input, async (candidate) => {
      note(candidate)
      return (await judge(target, candidate)).kind === found.kind
    })
    findings.push({ kind: found.kind, what: found.what, input: Buffer.from(input).toString('base64') })
  }
  return { parser, executions: hunt.executions - before, kinds: hunt.kinds, findings }
}

process.on('message', (order: Order) => {
  follow(order).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
process.on('disconnect', () => process.exit())
