package solo

import "strings"

// killScript ends, once the unit is stopped, containers, mounts, the network of
// pods, and the rules of kube-proxy and of CNI plugins. Data stays.
func (k Kind) killScript() string {
	words := strings.NewReplacer("SHIMS", k.Shims, "MOUNTS", strings.Join(k.Mounts, " "),
		"INTERFACES", strings.Join(k.Interfaces, " "), "PARTS", strings.Join(k.Parts, " "))
	return words.Replace(`
tree() {
	for pid in "$@"; do
		echo "$pid"
		tree $(cat /proc/"$pid"/task/*/children 2>/dev/null)
	done
}
shims=$(grep -lsaE '^SHIMS' /proc/[0-9]*/cmdline | cut -d/ -f3)
kill -9 $(tree $shims) 2>/dev/null
for below in MOUNTS /run/netns/cni-; do
	awk -v below="$below" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | while read -r point; do
		umount -f "$point" || umount -l "$point"
		rm -rf --one-file-system "$point"
	done
done
for link in INTERFACES; do
	ip link delete "$link" 2>/dev/null
done
for part in PARTS; do
	rm -f "$part"
done
for tables in iptables ip6tables; do
	$tables-save 2>/dev/null | grep -v KUBE- | grep -v CNI- | grep -v cali- | grep -v cali: | grep -v CILIUM_ | grep -iv flannel | $tables-restore 2>/dev/null
done
for table in 'ip kube-proxy' 'ip6 kube-proxy' 'inet cni_plugins_masquerade' 'inet cni_hostport' 'ip cni_hostport'; do
	nft delete table $table 2>/dev/null
done
true
`)
}
