// psyblob as images have it: one file that needs no other, or one executable that needs no Node.js; what lies beside it, and who starts it.
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { World } from './world.ts'

const bundle = join(import.meta.dirname, '../../dist/guest/psyblob.cjs')
const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

let world: World
beforeEach(() => {
  world = new World()
})
afterEach(() => world.close())

/** The root file system of a recipe without a distribution, unpacked; and what the build said. */
async function image(lines: string): Promise<string> {
  mkdirSync(world.path('empty'), { recursive: true })
  world.write('os.yaml', `psyblob: recipe/1\ndistribution: none\nfrom: empty\nkernel: {dir: empty}\n${lines}`)
  const { stderr } = await world.must('build rootfs --recipe os.yaml --out root.tar --cache cache')
  mkdirSync(world.path('root'))
  world.run('tar', ['xf', 'root.tar', '-C', 'root'])
  return stderr
}

/** Runs a program with nothing around it: no PATH with a Node.js, no HOME. */
function alone(program: string, args: readonly string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: world.dir, encoding: 'utf8', env })
  return { code: status, stdout, stderr }
}

describe('the bundle', () => {
  const psyblob = (line: string, env: Record<string, string> = {}) =>
    alone(process.execPath, [world.path('alone/psyblob.cjs'), ...line.split(' ')], env)
  beforeEach(() => {
    mkdirSync(world.path('alone'))
    copyFileSync(bundle, world.path('alone/psyblob.cjs'))
  })

  test('alone in a folder does all that a node does, with the portable engine', async () => {
    await world.withRelease()
    expect(psyblob('--version -v').stdout).toBe(
      `psyblob ${version}\nBLAKE3 engine: portable\nNode.js ${process.version}, ${process.platform} ${process.arch}\n`,
    )
    const node = `${world.node()} --store store`
    expect(psyblob(`sync os ${node}`)).toMatchObject({ code: 0, stdout: expect.stringContaining('os 1 (one) is in slot a') })
    expect(psyblob(`verify os ${node}`)).toMatchObject({ code: 0, stdout: expect.stringContaining('every byte is as signed') })
    expect(psyblob(`agent --once --health-dir none --booted a ${node}`)).toMatchObject({ code: 0 })
    expect(psyblob(`why os --booted a ${node}`).stdout).toContain('marked good')
  })

  test('with native parts beside it hashes natively', () => {
    const native = createRequire(createRequire(import.meta.url).resolve('@napi-rs/blake-hash'))
    const [file] = ['gnu', 'musl'].flatMap((library) => {
      try {
        return [native.resolve(`@napi-rs/blake-hash-linux-${process.arch}-${library}`)]
      } catch {
        return []
      }
    })
    copyFileSync(file ?? '', world.path('alone/blake-hash.node'))
    expect(psyblob('--version -v').stdout).toContain('BLAKE3 engine: native\n')
  })

  test('builds no images, and says where to', () => {
    expect(psyblob('build os --recipe os.yaml --out os')).toMatchObject({ code: 16, stderr: expect.stringContaining('part of an image') })
  })
})

describe('in an image', () => {
  test('the bundle is started by the Node.js of the system, and says when there is none', async () => {
    await image('program: bundle\n')
    expect(readdirSync(world.path('root/usr/lib/psyblob')).sort()).toEqual(['blake-hash.node', 'psyblob.cjs', 'psyblob.sh'])
    expect(readlinkSync(world.path('root/usr/bin/psyblob'))).toBe('/usr/lib/psyblob/psyblob.sh')
    const launcher = world.path('root/usr/lib/psyblob/psyblob.sh')
    mkdirSync(world.path('nothing'))
    expect(alone('/bin/sh', [launcher, 'status'], { PATH: world.path('nothing') })).toMatchObject({
      code: 16,
      stderr: expect.stringMatching(/^psyblob: unsupported: node is not installed\n {2}hint: /),
    })
    world.write('bin/node', '#!/bin/sh\necho "$@"\n')
    chmodSync(world.path('bin/node'), 0o755)
    expect(alone('/bin/sh', [launcher, 'status', '--key', 'a b'], { PATH: world.path('bin') }).stdout).toBe(
      '--no-warnings /usr/lib/psyblob/psyblob.cjs status --key a b\n',
    )
  })

  test('the executable needs no Node.js, finds what lies beside it, and is the same each time', { timeout: 300_000 }, async () => {
    await image('program: executable\n')
    expect(readdirSync(world.path('root/usr/lib/psyblob')).sort()).toEqual(['blake-hash.node', 'psyblob'])
    expect(alone(world.path('root/usr/lib/psyblob/psyblob'), ['--version', '-v'])).toEqual({
      code: 0,
      stdout: `psyblob ${version}\nBLAKE3 engine: native\nNode.js ${process.version}, ${process.platform} ${process.arch}\n`,
      stderr: '',
    })
    await world.withRelease()
    const psyblob = (line: string) => alone(world.path('root/usr/lib/psyblob/psyblob'), line.split(' '))
    expect(psyblob(`sync os ${world.node()} --store store`)).toMatchObject({ code: 0, stdout: expect.stringContaining('is in slot a') })
    expect(psyblob(`verify os ${world.node()} --store store`)).toMatchObject({ code: 0 })
    const first = world.run('sha256sum', ['root.tar'])
    await world.must('build rootfs --recipe os.yaml --out root.tar --cache cache2')
    expect(world.run('sha256sum', ['root.tar'])).toBe(first)
  })

  test('the agent is a service that is started, with its flags, checks and composition', async () => {
    await image(
      'program: bundle\nagent: {every: 2h, reboot: 02:00-04:00}\ncomposition:\n  - {name: os, key: K, uris: [https://os.example/]}\n',
    )
    const wants = 'root/etc/systemd/system/multi-user.target.wants/psyblob-agent.service'
    expect(readFileSync(world.path('root', readlinkSync(world.path(wants))), 'utf8')).toContain(
      'ExecStart=/usr/bin/psyblob agent $PSYBLOB_AGENT\n',
    )
    expect(world.read('root/etc/psyblob/agent.env').toString()).toBe(
      'PSYBLOB_AGENT=--every 2h --jitter 10m --reboot 02:00-04:00 --patience 5m\n',
    )
    expect(world.read('root/etc/composition').toString()).toBe('{"name":"os","key":"K","uris":["https://os.example/"]}\n')
    expect(world.read('root/etc/psyblob/health.d/10-systemd').toString()).toContain('is-system-running')
  })

  test('what well means is the recipe’s to say', async () => {
    await image('program: bundle\nagent: true\nfiles:\n  - {path: /etc/psyblob/health.d/10-systemd, mode: 0755, text: "mine\\n"}\n')
    expect(world.read('root/etc/psyblob/health.d/10-systemd').toString()).toBe('mine\n')
  })

  test('of another processor a native part that is not installed is told, and an executable is refused', async () => {
    const other = process.arch === 'arm64' ? 'x86_64' : 'aarch64'
    const told = await image(`architecture: ${other}\nprogram: bundle\n`)
    expect(told).toMatch(
      /@napi-rs\/blake-hash-linux-\w+-gnu is not installed here, .* npm install --no-save --force @napi-rs\/blake-hash-linux/,
    )
    expect(existsSync(world.path('root/usr/lib/psyblob/blake-hash.node'))).toBe(false)
    world.write('os.yaml', world.read('os.yaml').toString().replace('bundle', 'executable'))
    expect(await world.psyblob('build rootfs --recipe os.yaml --out other.tar --cache cache')).toMatchObject({
      code: 16,
      stderr: expect.stringContaining('the single executable is made of this Node.js'),
    })
    expect(existsSync(world.path('other.tar'))).toBe(false)
  })
})

describe('the check of systemd', () => {
  const check = join(import.meta.dirname, '../../images/guest/systemd-check.sh')
  // what it asks for first is the folder that systemd makes: the script as it is, with that folder elsewhere
  function run(state: string | undefined): { code: number | null; stdout: string } {
    world.write('check', readFileSync(check, 'utf8').replace('/run/systemd/system', world.path('systemd')))
    world.write(
      'bin/systemctl',
      `#!/bin/sh\n[ "$1" = list-jobs ] && { echo '12 web.service start running'; echo '13 late.service start waiting'; exit; }\necho ${state}\n`,
    )
    chmodSync(world.path('bin/systemctl'), 0o755)
    if (state !== undefined) mkdirSync(world.path('systemd'), { recursive: true })
    const { status, stdout } = spawnSync('/bin/sh', [world.path('check')], {
      encoding: 'utf8',
      env: { PATH: `${world.path('bin')}:/usr/bin:/bin` },
    })
    return { code: status, stdout }
  }

  test('waits until all has been started, be it with failures, and is no check where systemd does not run', () => {
    expect(run(undefined).code).toBe(0)
    expect(run('running').code).toBe(0)
    expect(run('degraded').code).toBe(0)
    expect(run('starting')).toEqual({ code: 1, stdout: 'systemd is starting: web.service \n' })
    expect(run('maintenance').code).toBe(1)
  })

  test('and the launcher are scripts that a shell understands', () => {
    for (const name of ['systemd-check.sh', 'psyblob.sh'])
      execFileSync('/bin/sh', ['-n', join(import.meta.dirname, '../../images/guest', name)])
  })
})
