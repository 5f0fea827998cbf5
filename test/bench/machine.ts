// The machine and the programs that the figures were measured with.
import { cpus, release, totalmem } from 'node:os'
import { run } from './run.ts'

export type Machine = {
  readonly cpu: string
  readonly cores: number
  readonly memory: number
  readonly system: string
  readonly kernel: string
  readonly fileSystem: string
  readonly node: string
  readonly psyblob: string
  /** Debian packages and their versions. */
  readonly tools: Readonly<Record<string, string>>
}

const packages = ['casync', 'zsync', 'zchunk', 'ostree', 'b3sum', 'nginx-light', 'squashfs-tools']

async function said(...argv: readonly string[]): Promise<string> {
  return (await run(argv).catch(() => 'unknown')).trim()
}

export async function inspectMachine(work: string): Promise<Machine> {
  const tools: Record<string, string> = {}
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own form
  for (const name of packages) tools[name] = await said('dpkg-query', '-W', '-f', '${Version}', name)
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memory: totalmem(),
    system: await said('sh', '-c', '. /etc/os-release && echo "$PRETTY_NAME"'),
    kernel: release(),
    fileSystem: await said('stat', '-f', '-c', '%T', work),
    node: process.version,
    psyblob: await said('git', 'describe', '--always', '--dirty'),
    tools,
  }
}
