//go:build e2e

package e2e_test

import "github.com/rogpeppe/go-internal/testscript"

// client asks the app at $1 and the API all the time, and counts in /run/client.
const client = `mkdir -p /run/client; cd /run/client; app=0 api=0 noapp=0 noapi=0
while :; do
	app=$((app + 1)) api=$((api + 1))
	curl -sf --max-time 5 -o /dev/null "http://$1" || { noapp=$((noapp + 1)); date -u +%T >>app-failed; }
	curl -skf --max-time 5 -o /dev/null https://127.0.0.1:6443/livez || noapi=$((noapi + 1))
	echo "app: $noapp of $app failed, API: $noapi of $api failed" >count.new; mv count.new count
	sleep 0.1
done`

// uses HOST CONTROL starts a client on HOST of the web app, whose address a
// control-plane host tells.
func (s *story) uses(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := s.context()
	defer cancel()
	address, err := s.host(ts, args[1:]).Eventually(ctx, "sh", "-c", administer+" -n shop get service web -o jsonpath={.spec.clusterIP}")
	ts.Check(err)
	out, err := s.host(ts, args).Run(ctx, "systemd-run", "--quiet", "--unit=client", "sh", "-c", client, "sh", address)
	if err != nil {
		ts.Fatalf("%v: %s", err, out)
	}
}

// heard HOST prints how often the client there was not answered.
func (s *story) heard(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := s.context()
	defer cancel()
	out, err := s.host(ts, args).Eventually(ctx, "cat", "/run/client/count")
	ts.Check(err)
	failed, _ := s.host(ts, args).Run(ctx, "sh", "-c", "cat /run/client/app-failed 2>/dev/null")
	ts.Logf("%s heard: %s%s", args[0], out, failed)
	_, _ = ts.Stdout().Write([]byte(out))
}
