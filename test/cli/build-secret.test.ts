// psyblob build secret, as typed: what is in it, who may read it, and that the keys are keys.
import { existsSync, readdirSync, statSync } from 'node:fs'
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { World } from './world.ts'

let world: World
beforeEach(() => {
  world = new World()
})
afterEach(() => world.close())

const rest = () => readdirSync(world.dir).filter((name) => name.startsWith('.'))
const mode = (name: string) => (statSync(world.path(name)).mode & 0o7777).toString(8)
const key = (kind: string) => `-----BEGIN NEBULA ${kind}-----\nAAAA\n-----END NEBULA ${kind}-----\n`

/** Files for every option, and the options. */
async function everything(): Promise<string> {
  await world.must('key new os --no-password')
  const line = world.read('os.pub').toString().trim().split('\n').at(-1)
  world.write('mactab', '# interfaces\nlan 52:54:00:12:34:56\n\nwan driver=e1000e # the other\n')
  world.write('interfaces', 'auto lan\niface lan inet dhcp\n')
  world.write('n.key', key('X25519 PRIVATE KEY'))
  world.write('n.crt', key('CERTIFICATE'))
  world.write('ca.crt', key('CERTIFICATE') + key('CERTIFICATE'))
  world.write('composition', `{"name":"os","key":"${line}","uris":["https://os.example/"]}\n`)
  world.write('wifi', 'psk')
  const network = '--mactab mactab --network-interfaces interfaces --nebula-key n.key --nebula-crt n.crt --nebula-ca ca.crt'
  return `--nodename node1.example.org --pubkey os.pub ${network} --composition composition --file wifi/home.conf=wifi --file café=wifi`
}

const names = [
  'age.key',
  'café',
  'composition',
  'mactab',
  'minisign.pubkey',
  'nebula/ca.crt',
  'nebula/host.crt',
  'nebula/host.key',
  'network.interfaces',
  'nodename',
  'ssh_host_ed25519_key',
  'ssh_host_ed25519_key.pub',
  'wifi/home.conf',
]

describe('secrets of a node', () => {
  test('as a tar file: names as init looks for them, for root only, and for their owner only here', async () => {
    const options = await everything()
    const before = process.umask(0)
    try {
      const { json } = await world.must(`build secret node1.tar ${options} --json`)
      expect(json.files).toEqual(names)
    } finally {
      process.umask(before)
    }
    expect(mode('node1.tar')).toBe('600')
    const lines = world.run('tar', ['--numeric-owner', '-tvf', 'node1.tar']).trim().split('\n')
    expect(lines.filter((line) => !/^(-rw------- 0\/0 |drwx------ 0\/0 )/.test(line))).toEqual([])
    expect(lines).toHaveLength(names.length + 2)
    world.run('mkdir', ['out'])
    world.run('tar', ['-xf', 'node1.tar', '-C', 'out'])
    expect(world.read('out/nodename').toString()).toBe('node1.example.org\n')
    expect(world.read('out/minisign.pubkey').equals(world.read('os.pub'))).toBe(true)
    for (const [name, from] of [
      ['mactab', 'mactab'],
      ['network.interfaces', 'interfaces'],
      ['nebula/host.key', 'n.key'],
      ['nebula/ca.crt', 'ca.crt'],
      ['composition', 'composition'],
      ['café', 'wifi'],
    ] as const)
      expect(world.read(`out/${name}`).equals(world.read(from))).toBe(true)
    expect(rest()).toEqual([])
  })

  test('as an image: a whole file system called psyops-secret with the same in it', async () => {
    const options = await everything()
    await world.must(`build secret node1.img ${options}`)
    expect(mode('node1.img')).toBe('600')
    world.run('e2fsck', ['-fn', 'node1.img'])
    expect(world.run('blkid', ['-p', '-o', 'export', 'node1.img'])).toMatch(/LABEL=psyops-secret\n[\s\S]*TYPE=ext4\n/)
    expect(world.run('debugfs', ['-R', 'cat /nodename', 'node1.img'])).toBe('node1.example.org\n')
    expect(world.run('debugfs', ['-R', 'ls -l /', 'node1.img'])).toMatch(
      / 40700 \(2\) +0 +0 .* nebula\n[\s\S]* 100600 \(1\) +0 +0 .* nodename\n/,
    )
    expect(world.run('debugfs', ['-R', 'stat /', 'node1.img'])).toMatch(/Mode: +0700/)
    expect(rest()).toEqual([])
  })

  test('made without keys have new ones: what is encrypted to the one that is printed, the one inside decrypts', async () => {
    const { stdout, stderr } = await world.must('build secret node1.tar --nodename node1 -v')
    world.run('tar', ['-xf', 'node1.tar', 'age.key', 'ssh_host_ed25519_key', 'ssh_host_ed25519_key.pub'])
    const [recipient = '', ssh] = stdout.split('\n')
    const file = world.read('age.key').toString()
    const [, identity = ''] = /^# created: \d{4}-.*Z\n# public key: age1.*\n(AGE-SECRET-KEY-1\w+)\n$/.exec(file) ?? []
    expect(file).toContain(recipient)
    const encrypter = new Encrypter()
    encrypter.addRecipient(recipient)
    const decrypter = new Decrypter()
    decrypter.addIdentity(identity)
    expect(await decrypter.decrypt(await encrypter.encrypt('for node1'), 'text')).toBe('for node1')
    expect(world.run('ssh-keygen', ['-y', '-f', 'ssh_host_ed25519_key']).trim()).toBe(ssh)
    expect(world.read('ssh_host_ed25519_key.pub').toString()).toBe(`${ssh}\n`)
    expect(ssh).toMatch(/^ssh-ed25519 \S+ root@node1$/)
    // nothing that is secret is told, however much is asked for
    const secret = world.read('ssh_host_ed25519_key').toString().split('\n')[2] ?? ''
    for (const text of [stdout, stderr]) for (const told of [identity, secret]) expect(text).not.toContain(told)
    const other = (await world.must('build secret other.tar --nodename node1')).stdout
    expect(other).not.toBe(stdout)
  })

  test('keep keys that are given, whatever kind they are, and are the same bytes then', async () => {
    const identity = await generateX25519Identity()
    world.write('node.age', `# mine\n\n${identity}\n`)
    world.run('ssh-keygen', ['-q', '-t', 'ecdsa', '-N', '', '-C', 'old', '-f', 'old'])
    // whoever copied it did not mind who reads it
    world.run('chmod', ['644', 'old'])
    const options = '--nodename node1 --age-key node.age --ssh-key old'
    const { json } = await world.must(`build secret one.img ${options} --json`)
    expect(json).toMatchObject({ age: { recipients: [await identityToRecipient(identity)], made: false }, ssh: { made: false } })
    expect(json.ssh.publicKey.split(' ').slice(0, 2)).toEqual(world.read('old.pub').toString().split(' ').slice(0, 2))
    expect(json.files).toContain('ssh_host_ecdsa_key')
    await world.must(`build secret two.img ${options}`, { env: { TZ: 'Asia/Tokyo' } })
    world.run('cmp', ['one.img', 'two.img'])
    expect(world.run('debugfs', ['-R', 'cat /age.key', 'one.img'])).toBe(`# mine\n\n${identity}\n`)
  })

  test('go into a disk', async () => {
    await world.withRelease()
    world.write('efi/EFI/BOOT/BOOTX64.EFI', 'loader')
    await world.must('publish efisys efi --remote repo --key os.key')
    await world.must('build secret node1.tar --nodename node1')
    const { json } = await world.must('build disk disk.img --remote repo --key os.pub --secret-tarball node1.tar --json')
    const place = `${world.path('disk.img')}?offset=${json.partitions[1].offset}`
    expect(world.run('debugfs', ['-R', 'cat /nodename', place])).toBe('node1\n')
  })
})

describe('secrets that cannot be made', () => {
  const refused = async (options: string, code: number, text: string) => {
    const outcome = await world.psyblob(`build secret bad.tar ${options}`)
    expect(outcome).toMatchObject({ code, stderr: expect.stringContaining(text) })
    expect(outcome.stderr).toContain('hint: ')
    expect(existsSync(world.path('bad.tar'))).toBe(false)
    expect(rest()).toEqual([])
    return outcome
  }

  test('say which file is not what it is given for, and where', async () => {
    world.write('text', 'AGE-SECRET-KEY-1QQQ\n')
    expect((await refused('--nodename n --age-key text', 13, 'text is no age key')).stderr).not.toContain('QQQ')
    await refused('--nodename n --age-key none', 10, 'no file none')
    await refused('--nodename n --ssh-key text', 13, 'text is no private SSH key')
    world.run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'passphrase', '-f', 'locked'])
    await refused('--nodename n --ssh-key locked', 13, 'without a passphrase')
    await refused('--nodename n --pubkey text', 13, '')
    for (const [line, why] of [
      ['eth0', 'no hardware address'],
      ['eth0 52:54:00:12:34', '52:54:00:12:34 is no hardware address'],
      ['an-interface-too-long 52:54:00:12:34:56', 'is no name of an interface'],
      ['eth0 52:54:00:12:34:56\neth0 52:54:00:12:34:57', 'eth0 is there twice'],
    ] as const) {
      world.write('mactab', `# first\n${line}\n`)
      await refused('--nodename n --mactab mactab', 13, why)
    }
    world.write('composition', '{}\n')
    await refused('--nodename n --composition composition', 13, 'composition, line 1')
    world.write('n.key', key('X25519 PRIVATE KEY'))
    world.write('n.crt', key('CERTIFICATE'))
    await refused('--nodename n --nebula-key n.crt --nebula-crt n.key --nebula-ca n.crt', 13, 'n.crt is no private key')
    await refused('--nodename n --nebula-key n.key --nebula-crt n.key --nebula-ca n.crt', 13, 'n.key is no certificate')
    await refused('--nodename n --nebula-key n.key', 2, 'some are missing')
  })

  test('refuse names that are none, and two files of one name', async () => {
    for (const name of ['-node', 'node_1', 'node..1', 'n'.repeat(64), `${'n'.repeat(60)}.example`, 'nöde'])
      await refused(`--nodename=${name}`, 2, 'is no name of a node')
    world.write('file', 'x')
    for (const name of ['nodename', 'NODENAME', 'nebula', 'age.key/x'])
      if (name !== 'nebula') await refused(`--nodename n --file ${name}=file`, 2, 'already')
    for (const name of ['lost+found', 'lost+found/x'])
      await refused(`--nodename n --file ${name}=file`, 2, `${name}: lost+found is the file system's own`)
    await refused('--nodename n --file ../x=file', 13, '')
    await refused('--nodename n --file x', 2, 'NAME=PATH')
    expect(await world.psyblob('build secret bad.tar.gz --nodename n')).toMatchObject({ code: 2 })
  })

  test('never replace what is there, for it may be the only copy of a key', async () => {
    await world.must('build secret node1.tar --nodename node1')
    const before = world.read('node1.tar')
    expect(await world.psyblob('build secret node1.tar --nodename node1')).toMatchObject({
      code: 11,
      stderr: expect.stringMatching(/conflict: node1.tar exists already\n {2}hint: .*--force/),
    })
    expect(world.read('node1.tar').equals(before)).toBe(true)
    await world.must('build secret node1.tar --nodename node1 --force')
    expect(world.read('node1.tar').equals(before)).toBe(false)
  })

  test('by two runs at once are those of one of them, whose keys it printed; the other is a conflict', async () => {
    const both = await Promise.all(Array.from({ length: 2 }, () => world.psyblob('build secret node1.tar --nodename node1')))
    expect(both.map(({ code }) => code).sort()).toEqual([0, 11])
    world.run('tar', ['-xf', 'node1.tar', 'ssh_host_ed25519_key.pub'])
    const made = both.find(({ code }) => code === 0)
    expect(made?.stdout).toContain(world.read('ssh_host_ed25519_key.pub').toString())
    expect(rest()).toEqual([])
  })
})
