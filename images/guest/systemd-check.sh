#!/bin/sh
# Passes once systemd has started what belongs to this boot. Units that failed are no reason to go back: which of them matter is for
# checks of your own to say, e.g. 20-web: systemctl is-active --quiet nginx
# a system that systemd did not start has other checks
[ -d /run/systemd/system ] || exit 0
state=$(systemctl is-system-running)
case $state in
running | degraded) exit 0 ;;
esac
echo "systemd is ${state:-not there}: $(systemctl list-jobs --no-legend --plain 2>/dev/null | while read -r _ unit _ how; do [ "$how" = running ] && printf '%s ' "$unit"; done)"
exit 1
