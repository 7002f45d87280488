package settings

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// machine is a folder that is like one: what is written to its /proc/sys stays,
// and its systemd and its modprobe note what they are asked.
type machine struct {
	*testing.T
	*keeper
	asked []string
	dead  string // what of it ends the agent
}

var errDead = errors.New("the agent was killed")

func newMachine(t *testing.T) *machine {
	m := &machine{T: t}
	m.keeper = newKeeper(t.TempDir(), nil)
	m.root = t.TempDir()
	m.put("/proc/sys/kernel/random/boot_id", "one\n")
	m.put("/proc/sys/vm/swappiness", "60\n")
	m.put("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n")
	for _, unit := range []string{"containerd.service", "kubelet.service"} {
		m.put(system.UnitDir+unit, "")
	}
	m.ask = func(_ context.Context, args ...string) error {
		order := strings.Join(args, " ")
		if m.dead != "" && strings.Contains(order, m.dead) {
			return errDead
		}
		m.asked = append(m.asked, order)
		if args[0] == "is-enabled" {
			return errors.New("disabled")
		}
		return nil
	}
	m.run = func(ctx context.Context, what string, args ...string) error {
		m.asked = append(m.asked, what)
		switch {
		case m.dead == what:
			return errDead
		case what == "sysctl":
			return exec.CommandContext(ctx, args[0], args[1:]...).Run()
		case args[1] == "-r":
			return os.Remove(m.at("/sys/module/" + args[3]))
		case args[2] == "builtin":
			return nil
		}
		m.put("/sys/module/"+args[2], "")
		return nil
	}
	return m
}

func (m *machine) put(path, text string) {
	require.NoError(m.T, os.MkdirAll(filepath.Dir(m.at(path)), 0o755))
	require.NoError(m.T, os.WriteFile(m.at(path), []byte(text), 0o600))
}

func (m *machine) has(path string) string {
	data, err := os.ReadFile(m.at(path))
	require.NoError(m.T, err)
	return strings.TrimSpace(string(data))
}

// kept keeps what is wanted, twice: the second time there is nothing to do.
func (m *machine) kept(want Wanted) {
	m.Helper()
	require.NoError(m.T, m.keep(m.Context(), want))
	before := len(m.asked)
	require.NoError(m.T, m.keep(m.Context(), want))
	require.Len(m.T, m.asked, before)
}

const swappiness, portRange = "/proc/sys/vm/swappiness", "/proc/sys/net/ipv4/ip_local_port_range"

func swap(value string) Wanted {
	return Wanted{Machine: fleet.Machine{Sysctls: map[string]string{"vm/swappiness": value}}}
}

func TestParametersAreKeptAndTakenBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	want := Wanted{Machine: fleet.Machine{Sysctls: map[string]string{"vm/swappiness": "10", "net/ipv4/ip_local_port_range": "1024 65000"}}}
	m.kept(want)
	require.Equal(t, "10", m.has(swappiness))
	require.Equal(t, "1024 65000", m.has(portRange))
	require.Contains(t, m.has("/etc/sysctl.d/90-holdfast.conf"), "vm/swappiness = 10")
	m.put(swappiness, "33\n")
	m.put(portRange, "1024\t65000\n") // as the kernel says it
	m.kept(want)
	require.Equal(t, "10", m.has(swappiness), "drift is repaired")
	m.kept(swap("20"))
	require.Equal(t, "20", m.has(swappiness))
	require.Equal(t, "32768 60999", m.has(portRange), "what is not declared any more is taken back")
	m.kept(Wanted{})
	require.Equal(t, "60", m.has(swappiness), "to what it was before the first time")
	require.NoFileExists(t, m.at("/etc/sysctl.d/90-holdfast.conf"))
	require.NoFileExists(t, m.recordFile())
}

func TestAParameterThatWasAsWantedIsKeptToo(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.kept(swap("60"))
	m.put(swappiness, "33")
	m.kept(swap("60"))
	require.Equal(t, "60", m.has(swappiness))
	m.put(swappiness, "33")
	m.kept(Wanted{})
	require.Equal(t, "60", m.has(swappiness), "33 was never what it was before")
}

func TestAParameterThatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	err := m.keep(t.Context(), Wanted{Machine: fleet.Machine{Sysctls: map[string]string{"vm/swappiness": "10", "vm/swapiness": "10"}}})
	var wrong *system.PreflightError
	require.ErrorAs(t, err, &wrong)
	require.ErrorContains(t, err, "no parameter vm/swapiness")
	require.Contains(t, wrong.Hint(), "host.modules")
	require.Equal(t, "60", m.has(swappiness), "nothing was changed")
}

func TestModulesAreKeptAndTakenBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.put("/sys/module/there", "")
	want := Wanted{Machine: fleet.Machine{Modules: []string{"there", "missing", "builtin"}}}
	m.kept(want)
	require.FileExists(t, m.at("/sys/module/missing"))
	require.Contains(t, m.has("/etc/modules-load.d/holdfast.conf"), "there\nmissing\nbuiltin")
	require.NoError(t, os.Remove(m.at("/sys/module/missing")))
	m.kept(want)
	require.FileExists(t, m.at("/sys/module/missing"), "drift is repaired")
	before := len(m.asked)
	m.put("/proc/sys/kernel/random/boot_id", "two\n")
	m.kept(want)
	require.Len(t, m.asked, before+1, "another kernel may not have it")
	m.kept(Wanted{})
	require.NoFileExists(t, m.at("/sys/module/missing"))
	require.FileExists(t, m.at("/sys/module/there"), "it was loaded before")
	require.NoFileExists(t, m.recordFile())
}

func TestTheProxyIsTheUnits(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	want := Wanted{Direct: []string{"localhost", "10.244.0.0/16"}, Units: []string{"containerd", "notmade"}}
	want.Proxy = fleet.Proxy{HTTPS: "http://proxy.example.com:3128/a%20b", No: []string{".example.com"}}
	m.kept(want)
	const dropIn = system.UnitDir + "containerd.service.d/holdfast-proxy.conf"
	require.Equal(t, strings.TrimSpace(head+`[Service]
Environment="HTTPS_PROXY=http://proxy.example.com:3128/a%%20b"
Environment="NO_PROXY=localhost,10.244.0.0/16,.example.com"`), m.has(dropIn))
	require.Equal(t, []string{"daemon-reload", "try-restart containerd.service"}, m.asked, "what is not made yet is not restarted")
	m.put(dropIn, "[Service]")
	m.kept(want)
	require.Contains(t, m.has(dropIn), "proxy.example.com")
	m.kept(Wanted{})
	require.NoDirExists(t, filepath.Dir(m.at(dropIn)))
	require.Equal(t, "try-restart containerd.service", m.asked[len(m.asked)-1])
}

func TestTimeServersOfWhicheverServiceTheHostHas(t *testing.T) {
	t.Parallel()
	want := Wanted{Machine: fleet.Machine{NTP: []string{"ntp.example.com", "10.0.0.1"}}}
	for _, tt := range []struct{ name, unit, config, path, text string }{
		{"timesyncd", "systemd-timesyncd.service", "", "/etc/systemd/timesyncd.conf.d/60-holdfast.conf", "[Time]\nNTP=ntp.example.com 10.0.0.1"},
		{"Debian's chrony", "chrony.service", "/etc/chrony/chrony.conf", "/etc/chrony/sources.d/holdfast.sources", "server ntp.example.com iburst\nserver 10.0.0.1 iburst"},
		{"other chronies", "chronyd.service", "/etc/chrony.conf", "/etc/chrony/sources.d/holdfast.sources", "server ntp.example.com iburst\nserver 10.0.0.1 iburst"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.put("/lib/systemd/system/"+tt.unit, "")
			if tt.config != "" {
				m.put(tt.config, "pool 2.debian.pool.ntp.org iburst\n")
				require.ErrorContains(t, m.keep(t.Context(), want), "reads time servers from "+tt.config+" alone")
				m.put(tt.config, "sourcedir /run/chrony-dhcp\nsourcedir /etc/chrony/sources.d\n")
			}
			m.kept(want)
			require.Equal(t, head+tt.text, m.has(tt.path))
			require.Equal(t, []string{"enable " + tt.unit, "restart " + tt.unit}, m.asked[len(m.asked)-2:])
			m.kept(Wanted{})
			require.NoFileExists(t, m.at(tt.path))
			require.Equal(t, "disable --now "+tt.unit, m.asked[len(m.asked)-1], "it did not run before")
		})
	}
	m := newMachine(t)
	var wrong *system.PreflightError
	require.ErrorAs(t, m.keep(t.Context(), want), &wrong)
	require.Contains(t, wrong.Error(), "neither chrony nor systemd-timesyncd")
}

func TestWhatWasCutOffIsFinished(t *testing.T) {
	t.Parallel()
	want := swap("10")
	want.Modules, want.Units, want.Proxy = []string{"missing"}, []string{"containerd", "kubelet"}, fleet.Proxy{HTTP: "http://a"}
	for _, at := range []string{"modprobe", "sysctl", "daemon-reload", "try-restart containerd", "try-restart kubelet"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.dead = at
			require.Error(t, m.keep(t.Context(), want))
			m.dead, m.asked = "", nil
			m.kept(want)
			require.Equal(t, "10", m.has(swappiness))
			require.FileExists(t, m.at("/sys/module/missing"))
			require.Equal(t, []string{"daemon-reload", "try-restart containerd.service", "try-restart kubelet.service"}, m.asked[len(m.asked)-3:])
			if m.dead = at; at != "modprobe" { // a module that stays loaded does no harm
				require.Error(t, m.keep(t.Context(), Wanted{}))
			}
			m.dead = ""
			m.kept(Wanted{})
			require.Equal(t, "60", m.has(swappiness))
			require.NoFileExists(t, m.recordFile())
		})
	}
}

func TestADamagedRecordIsNotGuessedAt(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	require.NoError(t, os.WriteFile(m.recordFile(), []byte("{"), 0o600))
	require.ErrorContains(t, m.keep(t.Context(), swap("10")), "is damaged")
	require.Equal(t, "60", m.has(swappiness))
}
