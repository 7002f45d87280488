package main

import (
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
	"os"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

// forwards is the port where nodes of other hosts reach its API, which listens on loopback only.
const forwards = "6445"

// application is what a node says of itself.
type application struct{ Name, Password, Address string }

// admission is what it is answered.
type admission struct {
	Keys     map[string][]byte // by the names that the embedded cluster has for them
	API      string            // where it is
	Pods     string            // network of the node's own
	Cluster  string            // network of all
	Services string
	Balanced bool // it is at each of the servers, too
}

// reception lets nodes of other hosts join a cluster.
type reception struct {
	cfg    embedded.Config
	pods   string                                   // network of all
	role   func(*http.Request) string               // what who asks may join as: "node", "server" or nothing
	verify func(context.Context, application) error // refuses nodes that are not who they say; nil: takes each at its word
	ca     tls.Certificate

	balanced bool // nodes reach whichever server answers
}

func newReception(cfg embedded.Config, pods string, role func(*http.Request) string) (*reception, error) {
	ca, err := tls.LoadX509KeyPair(cfg.Dir+"/pki/ca.pem", cfg.Dir+"/pki/ca.pem")
	return &reception{cfg: cfg, pods: pods, role: role, ca: ca}, err
}

// welcome lets servers join from now on, and agents where the server has a token for them.
func (l like) welcome(ctx context.Context, s documented.Settings, cfg embedded.Config, a api) error {
	own, err := l.readToken(s.First("token-file"))
	if err != nil {
		return err
	}
	secrets := map[string]string{"server": own.secret}
	if file := s.First("agent-token-file"); file != "" {
		agents, err := l.readToken(file)
		if err != nil {
			return err
		}
		secrets["node"] = agents.secret
	}
	r, err := newReception(cfg, s.First("cluster-cidr"), func(req *http.Request) string {
		user, password, _ := req.BasicAuth()
		if password == "" || secrets[user] != password {
			return ""
		}
		return user
	})
	if err != nil {
		return err
	}
	r.balanced = true
	r.verify = passwords{api: a, kind: ".node-password." + l.name}.verify
	if err := l.writeTokens(hashOf(r.authority()), secrets); err != nil {
		return err
	}
	if err := forward(ctx, net.JoinHostPort(cfg.Address, forwards), to(a.address())); err != nil {
		return err
	}
	if l.joins == "" {
		return r.listen(ctx, fmt.Sprint(cfg.APIPort), r.proxy(a.url))
	}
	return errors.Join(forward(ctx, net.JoinHostPort(cfg.Address, fmt.Sprint(cfg.APIPort)), to(a.address())), r.listen(ctx, l.joins, nil))
}

// writeTokens writes what others join with, in the secure format.
func (l like) writeTokens(authority string, secrets map[string]string) error {
	errs := []error{os.MkdirAll(l.data("server"), 0o700)}
	for user, secret := range secrets {
		file := map[string]string{"server": l.data("server/token"), "node": l.data("server/agent-token")}[user]
		errs = append(errs, durable.WriteFile(file, []byte(authority+"::"+user+":"+secret+"\n"), 0o600))
	}
	return errors.Join(errs...)
}

func (r *reception) authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.ca.Certificate[0]})
}

// hashOf is what a token of k3s in the secure format begins with.
func hashOf(authority []byte) string { return fmt.Sprintf("K10%x", sha256.Sum256(authority)) }

// listen lets others join at a port. What they ask else is for rest, if there is one.
func (r *reception) listen(ctx context.Context, port string, rest http.Handler) error {
	own, err := r.issue(pkix.Name{CommonName: r.cfg.Host}, r.cfg.Address)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(own, own)
	if err != nil {
		return err
	}
	users := x509.NewCertPool()
	users.AddCert(r.ca.Leaf)
	listener, err := tls.Listen("tcp", net.JoinHostPort(r.cfg.Address, port), &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: users, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cacerts", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(r.authority()) })
	mux.HandleFunc("POST /v1-standin/join", func(w http.ResponseWriter, req *http.Request) { r.join(w, req, "node", r.admit) })
	mux.HandleFunc("POST /v1-standin/join-server", func(w http.ResponseWriter, req *http.Request) { r.join(w, req, "server", r.admitServer) })
	if rest != nil {
		mux.Handle("/", rest)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	go func() { _ = server.Serve(listener) }()
	return nil
}

// join answers who may join as what is asked for.
func (r *reception) join(w http.ResponseWriter, req *http.Request, role string, admit func(context.Context, application) (any, error)) {
	var who application
	if r.role(req) != role {
		http.Error(w, "not authorized", http.StatusUnauthorized)
		return
	}
	if err := json.NewDecoder(req.Body).Decode(&who); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.verify != nil {
		if err := r.verify(req.Context(), who); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
	}
	answer, err := admit(req.Context(), who)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// admit gives a node its network and its certificates.
func (r *reception) admit(_ context.Context, who application) (any, error) {
	pods, err := podsOf(r.pods, who.Address)
	if err != nil {
		return nil, err
	}
	keys, err := r.keys(who)
	return admission{Keys: keys, API: net.JoinHostPort(r.cfg.Address, forwards), Pods: pods, Cluster: r.pods, Services: r.cfg.ServiceCIDR, Balanced: r.balanced}, err
}

// admitServer gives another server the authorities, and its etcd a place among the members.
func (r *reception) admitServer(ctx context.Context, who application) (any, error) {
	all, err := readKeys(r.cfg.Dir)
	if err != nil {
		return nil, err
	}
	e, err := openEtcd(r.cfg.Dir)
	if err != nil {
		return nil, err
	}
	in := membership{Keys: map[string][]byte{}}
	for _, name := range authorities {
		in.Keys[name] = all[name]
	}
	in.Cluster, err = e.invite(ctx, who.Name, embedded.PeerURL(who.Address))
	return in, err
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
		template.IPAddresses, template.DNSNames = []net.IP{net.ParseIP(address)}, []string{"kubernetes", "kubernetes.default.svc.cluster.local"}
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
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
