// `npm run model`: random histories against the law, on all cores. Words: --histories N, --seed TEXT, --from N, --jobs N.
import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Slice, type Summary, tryHistories } from './histories.ts'
import { rememberVerified } from './remembered.ts'

const help = `Tries random histories of publishers, thieves, mirrors and clocks on a real node.

Usage: npm run model -- [options]

  --histories N   How many (100000)
  --seed TEXT     What all chance follows from (the time)
  --from N        The number of the first one (0)
  --jobs N        Processes (one a core)
`

type Message = { readonly done: number } | { readonly summary: Summary }

function readWords() {
  const { values } = parseArgs({
    options: {
      histories: { type: 'string', default: '100000' },
      seed: { type: 'string', default: String(Date.now()) },
      from: { type: 'string', default: '0' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const whole = (name: 'histories' | 'from' | 'jobs', least: number): number => {
    const value = Number(values[name])
    if (!Number.isSafeInteger(value) || value < least)
      throw new Error(`--${name}: expected a whole number from ${least} on, got ${values[name]}`)
    return value
  }
  return { seed: values.seed, isHelp: values.help, histories: whole('histories', 1), from: whole('from', 0), jobs: whole('jobs', 1) }
}

/** One process: what it is to do comes as a message. */
function serve(): void {
  rememberVerified()
  process.once('message', async (slice: Slice) => {
    const summary = await tryHistories({ ...slice, progress: (done) => void (done % 100 === 0 && process.send?.({ done })) })
    process.send?.({ summary }, () => process.exit(0))
  })
}

function runSlice(slice: Slice, onDone: (done: number) => void): Promise<Summary> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['--slice'])
    child.on('message', (message: Message) => ('summary' in message ? resolve(message.summary) : onDone(message.done)))
    child.on('exit', (code) => reject(new Error(`a process ended with ${code}`)))
    child.send(slice)
  })
}

async function main(): Promise<number> {
  const { seed, isHelp, histories, from, jobs } = readWords()
  if (isHelp) {
    process.stdout.write(help)
    return 0
  }
  const begin = performance.now()
  const share = Math.ceil(histories / jobs)
  const slices = Array.from({ length: jobs }, (_, job) => ({
    seed,
    from: from + job * share,
    count: Math.min(share, histories - job * share),
  }))
  const done = new Map<Slice, number>()
  let told = 0
  const tell = (slice: Slice, count: number) => {
    done.set(slice, count)
    const sum = [...done.values()].reduce((total, one) => total + one, 0)
    if (Math.floor(sum / 5000) === told) return
    told = Math.floor(sum / 5000)
    process.stderr.write(`${sum} of ${histories}, ${((performance.now() - begin) / 1000).toFixed(0)} s\n`)
  }
  process.stderr.write(`seed ${seed}\n`)
  const all = await Promise.all(slices.filter(({ count }) => count > 0).map((slice) => runSlice(slice, (count) => tell(slice, count))))
  const seconds = ((performance.now() - begin) / 1000).toFixed(0)
  const sum = (pick: (summary: Summary) => number) => all.reduce((total, one) => total + pick(one), 0)
  const codes = [...new Set(all.flatMap((one) => Object.keys(one.codes)))].sort()
  const outcomes = codes.map((code) => `${sum((one) => one.codes[code] ?? 0)} ${code === 'none' ? 'accepted' : code}`)
  console.log(`${sum((one) => one.histories)} histories, ${sum((one) => one.refreshes)} refreshes: ${outcomes.join(', ')}; ${seconds} s`)
  const failures = all.flatMap(({ failure }) => (failure === undefined ? [] : [failure]))
  for (const failure of failures) console.log(`\n${failure}`)
  return failures.length === 0 ? 0 : 1
}

if (process.argv.includes('--slice')) serve()
else
  main().then(
    (code) => process.exit(code),
    (error: unknown) => {
      console.error(error instanceof Error ? error.message : String(error))
      process.exit(2)
    },
  )
