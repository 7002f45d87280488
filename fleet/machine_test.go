package fleet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// onHost is a Distribution that declares something of its hosts.
func onHost(settings string) []byte {
	return []byte(head + "Distribution\nmetadata: {name: x}\nspec:\n  type: k3s\n  version: v1.36.3+k3s1\n  host: " + settings + "\n")
}

func TestSettingsOfHosts(t *testing.T) {
	t.Parallel()
	got, err := fleet.ParseDistribution(onHost(`
    sysctls: {vm.max_map_count: 262144, net.ipv4.ip_local_port_range: "1024  65000", net/ipv4/conf/eth0.7/forwarding: "1", net.ipv4.conf.eth0/8.forwarding: 1}
    modules: [br_netfilter]
    registries:
      mirrors:
        docker.io: [https://mirror.example.com:5000/v2/docker/, http://10.0.0.1]
        "*": [https://mirror.example.com:5000]
      logins:
        mirror.example.com:5000: {username: fleet, passwordFile: /etc/holdfast/mirror}
    proxy: {http: http://proxy.example.com:3128, noProxy: [.example.com, 10.0.0.0/8]}
    ntp: [ntp.example.com, 10.0.0.1]`))
	require.NoError(t, err)
	require.Equal(t, fleet.Machine{
		Sysctls: map[string]string{"vm/max_map_count": "262144", "net/ipv4/ip_local_port_range": "1024 65000", "net/ipv4/conf/eth0.7/forwarding": "1", "net/ipv4/conf/eth0.8/forwarding": "1"},
		Modules: []string{"br_netfilter"},
		Mirrors: map[string][]string{"docker.io": {"https://mirror.example.com:5000/v2/docker", "http://10.0.0.1"}, "*": {"https://mirror.example.com:5000"}},
		Logins:  map[string]fleet.Login{"mirror.example.com:5000": {Username: "fleet", PasswordFile: "/etc/holdfast/mirror"}},
		Proxy:   fleet.Proxy{HTTP: "http://proxy.example.com:3128", No: []string{".example.com", "10.0.0.0/8"}},
		NTP:     []string{"ntp.example.com", "10.0.0.1"},
	}, got.Machine)
	require.True(t, got.Machine.Declares())
	got, err = fleet.ParseDistribution(onHost("{}"))
	require.NoError(t, err)
	require.False(t, got.Machine.Declares())
}

func TestWhatIsWrongWithSettingsOfHosts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, settings, want string }{
		{"no parameter of the kernel", "{sysctls: {vmax_map_count: 1}}", `distribution:7: "vmax_map_count" is not a parameter of the kernel`},
		{"another folder than Linux has", "{sysctls: {mv.max_map_count: 1}}", `distribution:7: "mv.max_map_count" is not a parameter of the kernel`},
		{"a way out of /proc/sys", "{sysctls: {net/../../etc/passwd: 1}}", `distribution:7: "net/../../etc/passwd" is not a parameter of the kernel`},
		{"all at once", `{sysctls: {"net.ipv4.conf.*.forwarding": 1}}`, `distribution:7: "net.ipv4.conf.*.forwarding" is not a parameter of the kernel`},
		{"one that Kubernetes needs otherwise", "{sysctls: {net.ipv4.ip_forward: 0}}", "distribution:7: sysctl net.ipv4.ip_forward: a node of Kubernetes has it at 1"},
		{"one in two spellings", "{sysctls: {vm.swappiness: 1, vm/swappiness: 2}}", "distribution:7: sysctl vm/swappiness is given twice"},
		{"a value of two lines", `{sysctls: {kernel.core_pattern: "a\nb"}}`, "distribution:7: sysctl kernel.core_pattern has characters that cannot be seen"},
		{"a module with options", "{modules: [nbd max_part=8]}", `distribution:7: "nbd max_part=8" is not the name of a module of the kernel`},
		{"a mirror that is no URL", "{registries: {mirrors: {docker.io: [https://a, mirror.example.com]}}}", `distribution:7: a mirror of docker.io: "mirror.example.com" is not a URL of HTTP`},
		{"a mirror that would end its quotes", `{registries: {mirrors: {docker.io: [https://a, 'https://a.example.com/"']}}}`, `distribution:7: a mirror of docker.io: "https://a.example.com/\"" is not a URL of HTTP`},
		{"a password in Git", "{registries: {mirrors: {docker.io: [https://a, 'https://a:b@example.com']}}}", "distribution:7: a mirror of docker.io: the URL has a user in it"},
		{"a registry with a path", "{registries: {mirrors: {docker.io/library: [https://example.com]}}}", `distribution:7: "docker.io/library" is not the name of a registry`},
		{"no mirror", "{registries: {mirrors: {docker.io: []}}}", "distribution:7: docker.io has no mirror"},
		{"a login of nobody's", "{registries: {logins: {a.example.com: {username: u, passwordFile: /f}}}}", "distribution:7: logins: no mirror is on a.example.com"},
		{"a password that is anywhere", "{registries: {mirrors: {docker.io: [https://a]}, logins: {a: {username: u, passwordFile: f}}}}", `distribution:7: passwordFile "f" is not the absolute path of a file`},
		{"a login without a password", "{registries: {mirrors: {docker.io: [https://a]}, logins: {a: {username: u}}}}", "distribution:7: the login of a has no password"},
		{"a login with two", "{registries: {mirrors: {docker.io: [https://a]}, logins: {a: {username: u, password: p, passwordFile: /f}}}}", "distribution:7: the login of a has both a password and a passwordFile"},
		{"a proxy that is no URL", "{proxy: {https: proxy.example.com:3128}}", `distribution:7: proxy.https: "proxy.example.com:3128" is not a URL of HTTP`},
		{"an exemption of two", "{proxy: {noProxy: ['a,b']}}", `distribution:7: "a,b" is no name, address or network`},
		{"a time server with words", "{ntp: [a b]}", `distribution:7: "a b" is not the name or address of a time server`},
		{"an unknown setting", "{swap: false}", "distribution:7: unknown field swap in host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := fleet.ParseDistribution(onHost(tt.settings))
			require.Equal(t, []string{tt.want}, messages(err))
		})
	}
	_, err := fleet.ParseDistribution([]byte(head + "Distribution\nmetadata: {name: x}\nspec: {type: embedded, version: v1.36.3, host: {ntp: [a]}}\n"))
	require.Equal(t, []string{"distribution:4: settings of the host are not of type embedded"}, messages(err))
}
