// The script of GRUB's that starts the machine: static, built into the loader, for stock GRUB 2.06 and later (spec/grub.md).
import { PsyblobError, visible } from '../../core/mod.ts'
import { choose, countTries, readState } from './grub-choice.ts'

export type GrubOptions = {
  /** What the system is told this loader is: a hash of what it is made of. */
  readonly id: string
  /** Words for the kernel besides those of psyblob. */
  readonly commandLine: string
  /** Seconds in which ESC brings the menu. */
  readonly timeout: number
  /** Bits a second of the first serial port; 0: none. */
  readonly serial: number
  readonly extraPrograms: readonly { readonly name: string; readonly title: string }[]
  /** Of the loader: `BOOTX64` or `BOOTAA64`. */
  readonly loader: string
}

/** Where the script lies in the loader's own file system, and the font beside it. */
export const grubPrefix = '(memdisk)/boot/grub'
export const grubFont = 'ascii.pf2'

/** Throws `usage` for words that no script can carry: one that GRUB cannot read ends at a prompt. */
export function grubConfig(options: GrubOptions): string {
  return [head(options), places, trial(options), readState, countTries, startSlot(options), choose, menu(options)].join('\n')
}

function head({ serial }: GrubOptions): string {
  const port =
    serial === 0
      ? ''
      : `if serial --unit=0 --speed=${serial}; then
  terminal_input console serial
  terminal_output $screen serial
fi
`
  return `# psyblob: which slot boots. Written when the EFI partition is made, never when a slot is chosen.
# Graphics where there are any: a firmware that copies its text to the serial port would say everything twice.
set pager=0
set gfxmode=auto
set gfxpayload=keep
set screen=console
if loadfont ${grubPrefix}/${grubFont}; then
  if terminal_output gfxterm; then set screen=gfxterm; fi
fi
${port}`
}

/** Our own partition and disk, whatever other disks there are: the path this program was loaded from says which. */
const places = `# where we are
set esp=
set disk=
regexp --set=1:esp '^\\(([^)]+)\\)' "$cmdpath"
# a firmware that does not say: the first EFI partition of ours
if [ -z "$esp" ]; then search --no-floppy --set=esp --label PSYOPSOSEFI; fi
regexp --set=1:disk '^([^,]+)' "$esp"
# what chainloader is given must lie on a disk of the firmware's, and some GRUB looks for it here
set root="$esp"
# kind: complete (a release), foreign (psyopsOS wrote it: no manifest, and psyblob was never there), none (half written, or nothing)
function look_at {
  set kind=none
  if [ -f "($1)/kernel" ]; then
    if [ -f "($1)/manifest" ]; then
      set kind=complete
    elif [ ! -e "($1)/.psyblob" ]; then
      set kind=foreign
    fi
  fi
}
set slot_a=
set slot_b=
set kind_a=none
set kind_b=none
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
  if [ -d "($disk,gpt$n)/" ]; then
    set label=
    probe --set=label --label "($disk,gpt$n)"
    if [ "$label" = psyopsOS-A -a -z "$slot_a" ]; then
      set slot_a="$disk,gpt$n"
      look_at "$slot_a"
      set kind_a="$kind"
    fi
    if [ "$label" = psyopsOS-B -a -z "$slot_b" ]; then
      set slot_b="$disk,gpt$n"
      look_at "$slot_b"
      set kind_b="$kind"
    fi
  fi
done
# from an ISO image there are none: it has its files itself
function find_iso {
  search --no-floppy --set=iso --label PSYOPSOSISO --hint "$disk" --hint "$disk,"
}
set iso=
if [ -z "$slot_a" -a -z "$slot_b" ]; then find_iso; fi
`

/** A new loader is tried once: it is left behind by the next reset unless the system that it booted puts it in our place. */
function trial({ id, loader }: GrubOptions): string {
  return `# a new loader beside us
function read_trial {
  set trial_for=
  if [ -f "($esp)/trial" ]; then load_env --file "($esp)/trial" trial_for; fi
}
function try_loader {
  set trial=
  set id=
  set commit=
  if [ -f "($esp)/loader" ]; then load_env --file "($esp)/loader" trial id commit; fi
  read_trial
  if regexp '^1[0-9]{9}$' "$trial"; then
    if [ "$commit" = "$trial" -a "$id" != ${quoted(id)} -a "$trial_for" != "$trial" ]; then
      set trial_for="$trial"
      if [ -f "($esp)/trial" ]; then save_env --file "($esp)/trial" trial_for; fi
      # what did not stick would be tried for ever
      read_trial
      if [ "$trial_for" = "$trial" ]; then
        echo "psyblob: trying the new boot loader $id"
        if chainloader "($esp)/EFI/BOOT/${loader}.NEW"; then boot; fi
        echo "psyblob: the new boot loader did not start"
      fi
    fi
  fi
}
if [ -f "($esp)/EFI/BOOT/${loader}.NEW" ]; then try_loader; fi
`
}

function startSlot({ id, commandLine, serial, loader }: GrubOptions): string {
  const port = loader === 'BOOTAA64' ? 'ttyAMA0' : 'ttyS0'
  const words = [
    `psyblob.loader=${id}`,
    'panic=10',
    ...commandLine.split(/\s+/).filter((word) => word !== ''),
    'console=tty0',
    ...(serial === 0 ? [] : [`console=${port},${serial}`]),
  ]
  return `# start PARTITION LABEL [WORD]: comes back only when that fails
function start {
  set uuid=
  probe --set=uuid --fs-uuid "($1)"
  echo "psyblob: $2 on $1"
  # what is seen to be absent before the kernel is loaded costs no memory
  if [ -s "($1)/initramfs" ]; then
    if linux "($1)/kernel" "psyopsos=$2" "psyblob.slot=$uuid" "psyblob.hd=$disk" ${words.map(quoted).join(' ')} $3; then
      if initrd "($1)/initramfs"; then boot; fi
    fi
  fi
  # Debian's GRUB 2.06 frees a kernel that is given up only when something else is loaded, and a second one beside it resets the machine
  chainloader "($esp)/EFI/BOOT/${loader}.EFI"
  echo "psyblob: $2 does not load"
}
# slot a|b [WORD]
function slot {
  if [ "$1" = a ]; then
    start "$slot_a" psyopsOS-A $2
  else
    start "$slot_b" psyopsOS-B $2
  fi
}
`
}

function menu({ id, timeout, extraPrograms }: GrubOptions): string {
  const extra = extraPrograms
    .map(({ name, title }) => {
      const path = `"($esp)/EFI/tools/"${quoted(`${name}.efi`)}`
      return `if [ -f ${path} ]; then
  menuentry ${quoted(title)} {
    chainloader ${path}
  }
fi
`
    })
    .join('')
  // with 0 there is nothing to be seen in either style, but Debian's GRUB counts down from 3 then
  const style = timeout === 0 ? 'menu' : 'countdown'
  return `# a menu that is shown stops its clock at any key, and so at any noise on a serial line; before it is, only ESC does
set timeout_style=${style}
set timeout=${timeout}
set default=auto
read_state
menuentry 'psyopsOS' --id auto {
  choose
}
if [ "$kind_a" != none ]; then
  menuentry 'psyopsOS, slot A' --id a {
    slot a
  }
fi
if [ "$kind_b" != none ]; then
  menuentry 'psyopsOS, slot B' --id b {
    slot b
  }
fi
menuentry 'rescue: a shell before anything is mounted' --id rescue {
  rescue
}
${extra}menuentry 'firmware setup' --id firmware {
  fwsetup
}
menuentry 'reboot' --id reboot {
  reboot
}
menuentry 'power off' --id off {
  halt
}
echo "psyblob: boot loader ${id}${timeout === 0 ? '' : '; ESC for the menu'}"
`
}

/** In single quotes GRUB's shell changes nothing. What the kernel would be given is escaped by GRUB, so quotes make no sense there either. */
function quoted(word: string): string {
  if (/^[\x20-\x7e]*$/.test(word) && !/['"\\]/.test(word)) return `'${word}'`
  throw new PsyblobError('usage', `the boot loader takes printable ASCII without quotes and backslashes; got ${visible(word)}`, {
    hint: 'change it in the recipe, at efisys, or in --command-line',
  })
}
