package fleet

import (
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Machine is what a Distribution declares of the hosts themselves. It is kept
// there; what is not declared is left alone.
type Machine struct {
	Sysctls map[string]string   // as in /proc/sys, with slashes → value
	Modules []string            // of the kernel, loaded
	Mirrors map[string][]string // registry, or "*" for every other → URLs in the order that they are asked
	Logins  map[string]Login    // host of a mirror → credentials
	Proxy   Proxy
	NTP     []string // servers
}

// Login is how a host logs in to a mirror: with one of the two.
type Login struct {
	Username     string
	PasswordFile string // on the host
	Password     string // encrypted, until the host opens it
}

// Proxy is that of what pulls images, and of the kubelet.
type Proxy struct {
	HTTP, HTTPS string   // URLs
	No          []string // besides the networks of the cluster and of the host
}

// Declares tells whether anything is.
func (m Machine) Declares() bool {
	return len(m.Sysctls)+len(m.Modules)+len(m.Mirrors)+len(m.Logins)+len(m.NTP) > 0 || m.Proxy.Used()
}

// Used tells whether there is a proxy.
func (p Proxy) Used() bool { return p.HTTP != "" || p.HTTPS != "" }

const (
	modulePattern   = `^[A-Za-z0-9][A-Za-z0-9_-]{0,55}$`
	registryPattern = `^(\*|[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?)$`
	urlPattern      = `^https?://[^/@\s]+(/.*)?$`
	hostPattern     = `^[A-Za-z0-9]([-A-Za-z0-9.:]*[A-Za-z0-9])?$`
	exemptPattern   = `^[-.*A-Za-z0-9:/]+$`
)

var (
	moduleName   = regexp.MustCompile(modulePattern)
	registryName = regexp.MustCompile(registryPattern)
	hostName     = regexp.MustCompile(hostPattern)
	exempt       = regexp.MustCompile(exemptPattern)
)

func (r reader) machineFields(m *Machine) map[string]field {
	mirrors := map[string]field{
		"mirrors": {false, `Registry, or "*" for every other: URLs, asked in this order. The registry itself is asked only if it is among them`, mapOf(listOf(matching(urlPattern))), func(n *yaml.Node) { r.mirrors(n, m) }},
		"logins":  {false, "Host of a mirror, with its port where it has one: how hosts log in there", mapOf(mapping(r.loginFields(&Login{}))), func(n *yaml.Node) { r.logins(n, m) }},
	}
	proxy := r.proxyFields(&m.Proxy)
	return map[string]field{
		"sysctls":    {false, "Parameters of the kernel, like vm.max_map_count: \"262144\"", mapOf(textShape), func(n *yaml.Node) { r.sysctls(n, m) }},
		"modules":    {false, "Modules of the kernel that are loaded", listOf(matching(modulePattern)), func(n *yaml.Node) { r.modules(n, m) }},
		"registries": {false, "Where images come from that are not in the content store", mapping(mirrors), func(n *yaml.Node) { r.object(n, "registries", mirrors); r.loginsAreUsed(n, m) }},
		"proxy":      {false, "That of what pulls images, and of the kubelet", mapping(proxy), func(n *yaml.Node) { r.object(n, "proxy", proxy) }},
		"ntp": {false, "Time servers, for systemd-timesyncd or chrony, whichever the host has", listOf(matching(hostPattern)), func(n *yaml.Node) {
			r.items(n, "ntp", func(item *yaml.Node) {
				if name := r.text(item, "a time server"); name != "" && !hostName.MatchString(name) {
					r.problem(item, "write it like ntp.example.com or 10.0.0.1", "%q is not the name or address of a time server", name)
				} else {
					m.NTP = append(m.NTP, name)
				}
			})
		}},
	}
}

func (r reader) modules(n *yaml.Node, m *Machine) {
	r.items(n, "modules", func(item *yaml.Node) {
		if name := r.text(item, "a module"); name != "" && !moduleName.MatchString(name) {
			r.problem(item, "lsmod lists names of modules, like br_netfilter; options of one belong in a file of its host", "%q is not the name of a module of the kernel", name)
		} else {
			m.Modules = append(m.Modules, name)
		}
	})
}

func (r reader) mirrors(n *yaml.Node, m *Machine) {
	m.Mirrors = map[string][]string{}
	r.entries(n, "mirrors", func(key, value *yaml.Node) {
		if !registryName.MatchString(key.Value) {
			r.problem(key, `write it as images have it, like docker.io or registry.example.com:5000; "*" is every other`, "%q is not the name of a registry", key.Value)
		}
		m.Mirrors[key.Value] = nil
		r.items(value, "mirrors of "+key.Value, func(item *yaml.Node) {
			if text := r.webAddress(item, "a mirror of "+key.Value); text != "" {
				m.Mirrors[key.Value] = append(m.Mirrors[key.Value], text)
			}
		})
		if len(m.Mirrors[key.Value]) == 0 {
			r.problem(value, "name one, or leave "+key.Value+" out", "%s has no mirror", key.Value)
		}
	})
}

// webAddress reads a URL of HTTP without anything that is for one request or secret.
func (r reader) webAddress(n *yaml.Node, what string) string {
	text := r.text(n, what)
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(text, "\"'\\` \t\n"):
		r.problem(n, "write it like https://mirror.example.com, or with a path: https://mirror.example.com/v2/docker", "%s: %q is not a URL of HTTP", what, text)
		return ""
	case u.User != nil:
		r.problem(n, "a login belongs under logins, and its password in a file on the host", "%s: the URL has a user in it", what)
		return ""
	}
	return strings.TrimSuffix(text, "/")
}

func (r reader) logins(n *yaml.Node, m *Machine) {
	m.Logins = map[string]Login{}
	r.entries(n, "logins", func(key, value *yaml.Node) {
		var login Login
		r.object(value, "the login of "+key.Value, r.loginFields(&login))
		if login.PasswordFile != "" && login.Password != "" {
			r.problem(value, "keep one of them", "the login of %s has both a password and a passwordFile", key.Value)
		} else if login.PasswordFile+login.Password == "" {
			r.problem(value, "name a passwordFile, or encrypt a password with SOPS", "the login of %s has no password", key.Value)
		}
		m.Logins[key.Value] = login
	})
}

func (r reader) loginFields(l *Login) map[string]field {
	return map[string]field{
		"username": {true, "", textShape, func(n *yaml.Node) { l.Username = r.plainText(n, "username") }},
		"password": {false, "Encrypted with SOPS, or else a passwordFile", textShape, func(n *yaml.Node) { l.Password = r.plainText(n, "password") }},
		"passwordFile": {false, "A file on each host, which root alone can read", matching("^/"), func(n *yaml.Node) {
			if l.PasswordFile = r.plainText(n, "passwordFile"); l.PasswordFile != "" && path.Clean(l.PasswordFile) != l.PasswordFile || !path.IsAbs(l.PasswordFile) {
				r.problem(n, "write it like /etc/holdfast/mirror-password", "passwordFile %q is not the absolute path of a file", l.PasswordFile)
			}
		}},
	}
}

// plainText reads one line.
func (r reader) plainText(n *yaml.Node, what string) string {
	text := r.text(n, what)
	if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		r.problem(n, "write one line", "%s has characters that cannot be seen", what)
		return ""
	}
	return text
}

// loginsAreUsed refuses a login of a host that no mirror is on: it is misspelt.
func (r reader) loginsAreUsed(n *yaml.Node, m *Machine) {
	hosts := map[string]bool{}
	for _, list := range m.Mirrors {
		for _, mirror := range list {
			if u, err := url.Parse(mirror); err == nil {
				hosts[u.Host] = true
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(m.Logins)) {
		if !hosts[host] {
			r.problem(n, "write the host as the mirror's URL has it, with the port", "logins: no mirror is on %s", host)
		}
	}
}

func (r reader) proxyFields(p *Proxy) map[string]field {
	address := func(what string, to *string) func(*yaml.Node) {
		return func(n *yaml.Node) { *to = r.webAddress(n, what) }
	}
	return map[string]field{
		"http":  {false, "Its URL for requests by HTTP", matching(urlPattern), address("proxy.http", &p.HTTP)},
		"https": {false, "Its URL for requests by HTTPS", matching(urlPattern), address("proxy.https", &p.HTTPS)},
		"noProxy": {false, "Names, addresses and networks that are reached without it, besides those of the cluster and of the host", listOf(matching(exemptPattern)), func(n *yaml.Node) {
			r.items(n, "noProxy", func(item *yaml.Node) {
				if text := r.text(item, "what needs no proxy"); text != "" && !exempt.MatchString(text) {
					r.problem(item, "write it like .example.com or 10.0.0.0/8", "%q is no name, address or network", text)
				} else {
					p.No = append(p.No, text)
				}
			})
		}},
	}
}

// sysctlRoots are the folders of /proc/sys that Linux documents, see
// https://docs.kernel.org/admin-guide/sysctl/.
var sysctlRoots = []string{"abi", "crypto", "debug", "dev", "fs", "kernel", "net", "sunrpc", "user", "vm"}

// sysctlsOfKubernetes are those that the kubelet or the pods' network want as they
// are, see setupKernelTunables in pkg/kubelet/cm of Kubernetes: the two would fight.
var sysctlsOfKubernetes = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
	"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000", "net/ipv4/ip_forward": "1",
}

var sysctlPart = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@:-]*$`)

// sysctlPath is the place of a parameter below /proc/sys. As in sysctl.d(5), the
// first separator decides whether the dots are others, or parts of names.
func sysctlPath(name string) (string, bool) {
	if at := strings.IndexAny(name, "./"); at > 0 && name[at] == '.' {
		name = strings.Map(func(c rune) rune {
			switch c {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return c
		}, name)
	}
	parts := strings.Split(name, "/")
	good := len(parts) > 1 && slices.Contains(sysctlRoots, parts[0]) &&
		!slices.ContainsFunc(parts, func(part string) bool { return !sysctlPart.MatchString(part) })
	return name, good
}

func (r reader) sysctls(n *yaml.Node, m *Machine) {
	m.Sysctls = map[string]string{}
	r.entries(n, "sysctls", func(key, value *yaml.Node) {
		name, good := sysctlPath(key.Value)
		setting := r.setting(value, key.Value)
		if !good {
			r.problem(key, "sysctl -a lists them, like vm.max_map_count; the first part is one of "+strings.Join(sysctlRoots, ", "), "%q is not a parameter of the kernel", key.Value)
			return
		}
		if want := sysctlsOfKubernetes[name]; want != "" && setting != want {
			r.problem(value, "leave it out", "sysctl %s: a node of Kubernetes has it at %s", key.Value, want)
		}
		if _, twice := m.Sysctls[name]; twice {
			r.problem(key, "keep one of them", "sysctl %s is given twice", key.Value).Rule = RuleDuplicateField
		}
		m.Sysctls[name] = setting
	})
}

// setting reads a value, which people write as the number that it mostly is.
func (r reader) setting(n *yaml.Node, name string) string {
	if n = deref(n); n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" {
		if number, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return strconv.FormatInt(number, 10)
		}
	}
	return strings.Join(strings.Fields(r.plainText(n, "sysctl "+name)), " ")
}
