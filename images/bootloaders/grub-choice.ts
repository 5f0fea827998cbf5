// The part of GRUB's script that chooses a slot (spec/grub.md 3 to 5). GRUB has no arithmetic: counting is a chain of ifs.
// Every variable that a file may set is emptied first, or an old value would stand in for what cannot be read.

/** Sets seq (0000000000 when no copy is valid), order and good; used: 0 to 6, or unknown. */
export const readState = `# what the system says
function read_copy {
  set valid=
  set seq=
  set order=
  set good=
  set commit=
  if [ -f "$1" ]; then load_env --file "$1" seq order good commit; fi
  if [ "$commit" = "$seq" ]; then
    if regexp '^1[0-9]{9}$' "$seq"; then
      if regexp '^(ab|ba)$' "$order"; then
        if regexp '^(|a|b|ab)$' "$good"; then set valid=1; fi
      fi
    fi
  fi
}
# of two valid copies the one with the higher seq; of none: order ab, nothing good, and tries are counted for no seq
function read_select {
  read_copy "($esp)/state1/select"
  set use_1="$valid"
  set seq_1="$seq"
  set order_1="$order"
  set good_1="$good"
  read_copy "($esp)/state2/select"
  if [ -n "$use_1" -a -n "$valid" ]; then
    if [ "$seq" -gt "$seq_1" ]; then set use_1=; fi
  fi
  if [ -n "$use_1" ]; then
    set seq="$seq_1"
    set order="$order_1"
    set good="$good_1"
  elif [ -z "$valid" ]; then
    set seq=0000000000
    set order=ab
    set good=
  fi
}
function read_tries {
  set tries_for=
  set tries=
  if [ -f "($esp)/tries" ]; then load_env --file "($esp)/tries" tries_for tries; fi
}
function read_used {
  read_tries
  set used=unknown
  if regexp '^[0-6]$' "$tries"; then
    if [ "$tries_for" = "$seq" ]; then
      set used="$tries"
    elif regexp '^(0000000000|1[0-9]{9})$' "$tries_for"; then
      set used=0
    fi
  fi
}
function read_state {
  read_select
  read_used
  set good_a=
  set good_b=
  if [ "$good" = a -o "$good" = ab ]; then set good_a=1; fi
  if [ "$good" = b -o "$good" = ab ]; then set good_b=1; fi
  if [ "$order" = ba ]; then
    set first=b
    set other=a
    set kind_first="$kind_b"
    set kind_other="$kind_a"
    set good_first="$good_b"
    set good_other="$good_a"
  else
    set first=a
    set other=b
    set kind_first="$kind_a"
    set kind_other="$kind_b"
    set good_first="$good_a"
    set good_other="$good_b"
  fi
}
`

const turns = [
  ['0', 'first', '1'],
  ['1', 'first', '2'],
  ['2', 'first', '3'],
  ['3', 'other', '4'],
  ['4', 'other', '5'],
  ['5', 'other', '6'],
  ['6', 'again', '1'],
  // what cannot be read may be written: but nobody counts on it while there is a slot that is known to boot
  ['unknown', 'again', '1'],
] as const

export const countTries = `# tries 1 to 3 are those of the slot that stands first, 4 to 6 those of the other one; then it begins again
function find_turn {
  set turn=
  set next=
${turns.map(([used, turn, next]) => `  if [ "$used" = ${used} ]; then set turn=${turn}; set next=${next}; fi`).join('\n')}
  # where the first slot holds no release the other one has its tries at once
  if [ "$kind_first" != complete ]; then
    if [ "$turn" = first ]; then set turn=other; set next=4; fi
    if [ "$turn" = again ]; then set next=4; fi
  fi
}
# counted a|b: one try, kept before it is used
function counted {
  set stuck=
  set tries_for="$seq"
  set tries="$next"
  if [ -f "($esp)/tries" ]; then save_env --file "($esp)/tries" tries_for tries; fi
  # what did not stick is no count: a slot that fails would be tried for ever
  read_tries
  if [ "$tries_for" = "$seq" -a "$tries" = "$next" ]; then set stuck=1; fi
  set shown="$next"
  if [ "$next" = 4 ]; then set shown=1; fi
  if [ "$next" = 5 ]; then set shown=2; fi
  if [ "$next" = 6 ]; then set shown=3; fi
  if [ -n "$stuck" ]; then
    echo "psyblob: slot $1, try $shown of 3"
    slot $1
  else
    echo "psyblob: slot $1 is not tried, because the try could not be kept"
  fi
}
`

export const choose = `# A straight line: when something does not start the next one does. It never returns to the menu.
function choose {
  if [ -n "$iso" ]; then start "$iso" PSYOPSOSISO; fi
  read_state
  find_turn
  echo "psyblob: state $seq, order $order, good '$good', tries $used"
  # 1. the slot that stands first: when it is good as often as it takes, else three times
  if [ "$kind_first" = complete ]; then
    if [ -n "$good_first" ]; then
      slot $first
    elif [ "$turn" = first ]; then
      counted $first
    fi
  fi
  # 2. the other one: when it is good as often as it takes, else three times after the first one's three
  if [ "$kind_other" = complete ]; then
    if [ -n "$good_other" ]; then
      slot $other
    elif [ "$turn" = other ]; then
      counted $other
    fi
  fi
  # 3. what psyopsOS left: it ran before psyblob came
  if [ "$kind_first" = foreign ]; then slot $first; fi
  if [ "$kind_other" = foreign ]; then slot $other; fi
  # 4. every try is used up, or it is not known how many: from the beginning
  if [ "$turn" = again ]; then
    if [ "$kind_first" = complete ]; then
      counted $first
    elif [ "$kind_other" = complete ]; then
      counted $other
    fi
  fi
  # 5. nothing is good, nothing can be counted, or what could be does not load: an unattended machine is better off trying again
  if [ "$kind_first" = complete ]; then slot $first; fi
  if [ "$kind_other" = complete ]; then slot $other; fi
  # 6. an ISO image that is attached; no rescue shell, which would wait for somebody
  if [ -z "$iso" ]; then find_iso; fi
  if [ -n "$iso" ]; then start "$iso" PSYOPSOSISO; fi
  echo "psyblob: nothing here boots; again in 60 seconds"
  sleep 60
  reboot
}
# by hand only, and not counted, whatever the state says
function rescue {
  if [ -z "$iso" ]; then find_iso; fi
  if [ "$kind_first" != none ]; then slot $first psyblob.rescue; fi
  if [ "$kind_other" != none ]; then slot $other psyblob.rescue; fi
  if [ -n "$iso" ]; then start "$iso" PSYOPSOSISO psyblob.rescue; fi
}
`
