// A link of a given round trip and rate: two network namespaces, netem between them where the kernel has it, else link.py.
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { atExit, isGone } from './exit.ts'
import type { LinkSpec } from './link-spec.ts'
import { start } from './run.ts'

export type Link = LinkSpec & {
  readonly by: 'netem' | 'tun'
  /** Words that put a program on the node's side, or on the server's. */
  readonly near: readonly string[]
  readonly far: readonly string[]
  /** The address of the server's side. */
  readonly address: string
  close(): Promise<void>
}

const ip = (...words: readonly string[]) => execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] })

// a benchmark that was killed could not tidy up: namespaces of processes that are gone
function sweep(): void {
  let names: readonly string[] = []
  try {
    names = readdirSync('/run/netns')
  } catch {}
  for (const name of names) {
    const pid = /^psyblob-bench-(\d+)-/.exec(name)?.[1]
    if (pid !== undefined && isGone(Number(pid))) ip('netns', 'del', name)
  }
}

export async function makeLink(spec: LinkSpec): Promise<Link> {
  sweep()
  const [near, far] = [makeSide('near'), makeSide('far')]
  const by = hasNetem(near, far, spec) ? 'netem' : 'tun'
  let stop = async () => {}
  if (by === 'tun') {
    const script = join('test', 'bench', 'link.py')
    // before everything else on this machine: a router does not wait for those who use it
    stop = await start(
      [...near.inside, 'nice', '-n', '-20', 'python3', script, 'near0', 'far0', String(spec.roundTrip), String(spec.rate)],
      {
        until: 'ready',
      },
    )
    ip('-n', near.name, 'link', 'set', 'far0', 'netns', far.name)
  }
  const sides = [
    { side: near, device: 'near0', own: '10.0.0.1', other: '10.0.0.2' },
    { side: far, device: 'far0', own: '10.0.0.2', other: '10.0.0.1' },
  ]
  for (const { side, device, own, other } of sides) {
    ip('-n', side.name, 'link', 'set', 'lo', 'up')
    ip('-n', side.name, 'address', 'add', own, 'peer', other, 'dev', device)
    ip('-n', side.name, 'link', 'set', device, 'up', 'txqueuelen', '2000')
    // Each transfer meets the link as if it were the first: what TCP learnt before is not kept. And TCP is the one of most
    // machines, by the route: a namespace may not choose another default than its machine.
    execFileSync('ip', ['netns', 'exec', side.name, 'sh', '-c', 'echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save'])
    ip('-n', side.name, 'route', 'replace', other, 'dev', device, 'src', own, 'congctl', 'cubic')
  }
  return {
    ...spec,
    by,
    near: near.inside,
    far: far.inside,
    address: '10.0.0.2',
    async close() {
      await stop()
      for (const { name } of [near, far]) ip('netns', 'del', name)
    },
  }
}

type Side = { readonly name: string; readonly inside: readonly string[] }

let sides = 0

function makeSide(side: string): Side {
  const name = `psyblob-bench-${process.pid}-${side}-${sides++}`
  ip('netns', 'add', name)
  // fails for those that were closed before
  atExit(() => ip('netns', 'del', name))
  return { name, inside: ['ip', 'netns', 'exec', name] }
}

// A queue of one round trip's worth of full packets, besides those that fly; packets one by one, or netem counts 64 KiB as one.
function hasNetem(near: Side, far: Side, { roundTrip, rate }: LinkSpec): boolean {
  ip('-n', near.name, 'link', 'add', 'near0', 'type', 'veth', 'peer', 'name', 'far0', 'netns', far.name)
  const packets = Math.ceil(64 + (1.5 * (roundTrip / 1000) * rate) / 8 / 1500)
  try {
    for (const [side, device] of [
      [near, 'near0'],
      [far, 'far0'],
    ] as const) {
      ip('-n', side.name, 'link', 'set', device, 'gso_max_segs', '1')
      const shape = ['delay', `${roundTrip / 2}ms`, 'rate', `${rate}bit`, 'limit', String(packets)]
      execFileSync('ip', ['netns', 'exec', side.name, 'tc', 'qdisc', 'add', 'dev', device, 'root', 'netem', ...shape], { stdio: 'ignore' })
    }
    return true
  } catch {
    ip('-n', near.name, 'link', 'del', 'near0')
    return false
  }
}
