package main

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

// forwards is the port where nodes of other hosts reach its API, which listens on loopback only.
const forwards = "6445"

// guest is a node of another host that has joined.
type guest struct {
	Password string `json:"password"`
	Pods     string `json:"pods"`
	Address  string `json:"address"`
}

// application is what a node says of itself.
type application struct{ Name, Password, Address string }

// admission is what it is answered.
type admission struct {
	Keys     map[string][]byte // by the names that the embedded cluster has for them
	API      string            // where it is
	Pods     string            // network of the node's own
	Cluster  string            // network of all
	Services string
}

// reception lets nodes of other hosts join a cluster.
type reception struct {
	cfg              embedded.Config
	address, cluster string                   // of this node, and the network of all pods
	knows            func(*http.Request) bool // whether somebody may join
	ca               tls.Certificate

	mu     sync.Mutex
	guests map[string]guest
}

func newReception(cfg embedded.Config, address, cluster string, knows func(*http.Request) bool) (*reception, error) {
	ca, err := tls.LoadX509KeyPair(cfg.Dir+"/pki/ca.pem", cfg.Dir+"/pki/ca.pem")
	return &reception{cfg: cfg, address: address, cluster: cluster, knows: knows, ca: ca, guests: map[string]guest{}}, err
}

// welcome lets agents join from now on, where the server has a token for them.
func (l like) welcome(ctx context.Context, s documented.Settings, cfg embedded.Config) error {
	if s.First("agent-token-file") == "" {
		return nil
	}
	secret, err := os.ReadFile(s.First("agent-token-file"))
	if err != nil {
		return err
	}
	want := strings.TrimSpace(string(secret))
	r, err := newReception(cfg, s.First("node-ip"), s.First("cluster-cidr"), func(req *http.Request) bool {
		user, password, _ := req.BasicAuth()
		return user == "node" && password == want
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.data("server/agent-token"), []byte(hashOf(r.authority())+"::node:"+want+"\n"), 0o600); err != nil {
		return err
	}
	port, err := l.apiPort(s)
	if err != nil {
		return err
	}
	return r.open(ctx, port, cmp.Or(l.joins, fmt.Sprint(port)))
}

// open lets them in at a port from now on, to an API that is at another.
func (r *reception) open(ctx context.Context, api int, port string) error {
	if data, err := os.ReadFile(r.list()); err == nil {
		if err := json.Unmarshal(data, &r.guests); err != nil {
			return err
		}
	}
	for _, g := range r.guests {
		if err := route(ctx, g.Pods, g.Address); err != nil {
			return err
		}
	}
	if err := forward(ctx, net.JoinHostPort(r.address, forwards), fmt.Sprintf("127.0.0.1:%d", api)); err != nil {
		return err
	}
	return r.listen(ctx, net.JoinHostPort(r.address, port))
}

func (r *reception) list() string { return filepath.Join(r.cfg.Dir, "guests.json") }

func (r *reception) authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.ca.Certificate[0]})
}

// hashOf is what a token of k3s in the secure format begins with.
func hashOf(authority []byte) string { return fmt.Sprintf("K10%x", sha256.Sum256(authority)) }

func (r *reception) listen(ctx context.Context, at string) error {
	own, err := r.issue(pkix.Name{CommonName: r.cfg.Host}, r.address)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(own, own)
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", at, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cacerts", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(r.authority()) })
	mux.HandleFunc("POST /v1-standin/join", r.join)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	go func() { _ = server.Serve(listener) }()
	return nil
}

func (r *reception) join(w http.ResponseWriter, req *http.Request) {
	var who application
	if !r.knows(req) {
		http.Error(w, "not authorized", http.StatusUnauthorized)
		return
	}
	if err := json.NewDecoder(req.Body).Decode(&who); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := r.admit(req.Context(), who)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// admit gives a node its network and its certificates. Of k3s, one of a name that there is must have its password.
func (r *reception) admit(ctx context.Context, who application) (admission, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g, known := r.guests[who.Name]
	if known && g.Password != who.Password {
		out, err := exec.CommandContext(ctx, programs+"/kube", "kubectl", "--kubeconfig="+r.cfg.Dir+"/kubeconfig/admin.json", "get", "node", who.Name, "--ignore-not-found", "--output=name").Output()
		if err != nil || len(out) > 0 {
			return admission{}, errors.Join(err, errors.New("node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry"))
		}
	}
	if !known {
		var err error
		if g.Pods, err = nthNode(r.cluster, len(r.guests)+1); err != nil {
			return admission{}, err
		}
	}
	g.Password, g.Address = who.Password, who.Address
	r.guests[who.Name] = g
	data, err := json.Marshal(r.guests)
	if err != nil {
		return admission{}, err
	}
	if err := errors.Join(os.WriteFile(r.list(), data, 0o600), route(ctx, g.Pods, g.Address)); err != nil {
		return admission{}, err
	}
	keys, err := r.keys(who)
	return admission{Keys: keys, API: net.JoinHostPort(r.address, forwards), Pods: g.Pods, Cluster: r.cluster, Services: r.cfg.ServiceCIDR}, err
}

func (r *reception) keys(who application) (map[string][]byte, error) {
	node := pkix.Name{CommonName: "system:node:" + who.Name, Organization: []string{"system:nodes"}}
	kubelet, err := r.issue(node, "")
	serving, failed := r.issue(node, who.Address)
	proxy, alike := r.issue(pkix.Name{CommonName: "system:kube-proxy"}, "")
	return map[string][]byte{"ca.crt": r.authority(), "kubelet.pem": kubelet, "kubelet-serving.pem": serving, "proxy.pem": proxy}, errors.Join(err, failed, alike)
}

// issue makes a certificate and its key, of a server where it has an address.
func (r *reception) issue(subject pkix.Name, address string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if address != "" {
		template.IPAddresses, template.ExtKeyUsage = []net.IP{net.ParseIP(address)}, append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, r.ca.Leaf, key.Public(), r.ca.PrivateKey)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})...), nil
}

// nthNode is the network of the pods of a cluster's nth node after the first.
func nthNode(cidr string, n int) (string, error) {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return "", err
	}
	bytes := prefix.Masked().Addr().As4()
	bytes[2] += byte(n)
	address := netip.AddrFrom4(bytes)
	if !prefix.Contains(address) {
		return "", fmt.Errorf("cluster-cidr %s has no network for node %d", cidr, n)
	}
	return netip.PrefixFrom(address, 24).String(), nil
}

// route leads to pods on another host.
func route(ctx context.Context, pods, via string) error {
	if out, err := exec.CommandContext(ctx, "ip", "route", "replace", pods, "via", via).CombinedOutput(); err != nil {
		return fmt.Errorf("route to %s: %w: %s", pods, err, out)
	}
	return nil
}
