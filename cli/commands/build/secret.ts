// psyblob build secret
import { Command, Option } from 'clipanion'
import { PsyblobError, visible } from '../../../core/mod.ts'
import { buildSecret, openRun, requirePrograms, type SecretOptions, secretPrograms, workBeside } from '../../../images/mod.ts'
import { sourceDateEpoch } from '../../build-command.ts'
import { BaseCommand } from '../../command.ts'
import { publicKeyText } from '../../trust-command.ts'

export class BuildSecret extends BaseCommand {
  static override paths = [['build', 'secret']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Make what is one node’s alone: name, keys, network',
    details:
      'OUT that ends in .tar is a tar file for psyblob build disk --secret-tarball; any other an image of the file system psyops-secret, for a second disk or a stick. What is not given of age key and SSH host key is made, and its public part printed. Nothing secret is printed; files are for their owner only. A file that exists is kept: it may be the only copy of a key.',
    examples: [
      ['For the disk of one node', '$0 build secret node1.tar --nodename node1 --pubkey os.pub'],
      ['For a second disk', '$0 build secret node1.img --nodename node1 --network-interfaces interfaces --mactab mactab'],
      ['With keys that are there already', '$0 build secret node1.tar --nodename node1 --age-key node1.age --ssh-key ssh_host_ed25519_key'],
    ],
  })

  out = Option.String({ name: 'OUT', required: true })
  nodename = Option.String('--nodename', { required: true, description: 'Host name of the node' })
  ageKey = Option.String('--age-key', { description: 'Its age identity; a new one unless given' })
  sshKey = Option.String('--ssh-key', { description: 'Its SSH host key, without passphrase; a new one unless given' })
  publicKey = Option.String('--pubkey', { description: 'Key that releases are signed with: a .pub file or the line that begins with RW' })
  mactab = Option.String('--mactab', { description: 'Names of network interfaces by hardware address, for nameif' })
  networkInterfaces = Option.String('--network-interfaces', { description: 'What becomes /etc/network/interfaces' })
  nebulaKey = Option.String('--nebula-key', { description: 'Its private key for Nebula' })
  nebulaCrt = Option.String('--nebula-crt', { description: 'Its certificate for Nebula' })
  nebulaCa = Option.String('--nebula-ca', { description: 'The certificates that Nebula trusts' })
  composition = Option.String('--composition', { description: 'What becomes /etc/composition' })
  files = Option.Array('--file', { description: 'Anything else, as NAME=PATH; may be given several times' })
  isForced = Option.Boolean('--force', false, { description: 'Replace OUT when it exists' })

  async work(): Promise<void> {
    const epoch = sourceDateEpoch(this.context.env['SOURCE_DATE_EPOCH'])
    if (/\.(tgz|tar\.\w+)$/i.test(this.out))
      throw new PsyblobError('usage', `${visible(this.out)}: tar files are written as they are`, {
        hint: 'let its name end in .tar, and compress it yourself',
      })
    const options: SecretOptions = {
      nodename: this.nodename,
      ageKey: this.ageKey,
      sshKey: this.sshKey,
      publicKey: this.publicKey === undefined ? undefined : await publicKeyText(this.publicKey),
      mactab: this.mactab,
      networkInterfaces: this.networkInterfaces,
      nebula: this.#nebula(),
      composition: this.composition,
      files: (this.files ?? []).map(named),
      now: this.context.clock(),
    }
    await requirePrograms(secretPrograms(this.out))
    const { report } = this.ui
    const { artifact, content } = await workBeside(this.out, (work) =>
      buildSecret(
        { ...options, out: this.out, force: this.isForced },
        { run: openRun(report), report, epoch, work, cache: work, signal: this.signal },
      ),
    )
    const { age, ssh } = content
    this.ui.json({
      out: this.out,
      nodename: this.nodename,
      size: artifact.size,
      files: content.files.map(({ path }) => path),
      age: { recipients: age.recipients, made: this.ageKey === undefined },
      ssh: { publicKey: ssh.publicKey, made: this.sshKey === undefined },
    })
    this.ui.data(`${age.recipients.join('\n')}\n${visible(ssh.publicKey)}\n`)
    this.ui.say(`wrote ${visible(this.out)} (keep it secret) with ${content.files.map(({ path }) => visible(path)).join(', ')}`)
  }

  #nebula(): SecretOptions['nebula'] {
    const { nebulaKey: key, nebulaCrt: crt, nebulaCa: ca } = this
    if (key !== undefined && crt !== undefined && ca !== undefined) return { key, crt, ca }
    if (key === undefined && crt === undefined && ca === undefined) return undefined
    throw new PsyblobError('usage', 'of --nebula-key, --nebula-crt and --nebula-ca some are missing', { hint: 'Nebula needs all three' })
  }
}

function named(text: string): { readonly name: string; readonly path: string } {
  const equals = text.indexOf('=')
  if (equals > 0 && equals < text.length - 1) return { name: text.slice(0, equals), path: text.slice(equals + 1) }
  throw new PsyblobError('usage', `--file is NAME=PATH; got ${text}`, { hint: 'such as --file wifi.conf=./wifi.conf' })
}
