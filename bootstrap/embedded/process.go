package embedded

// nodeFile is what "node" runs, as that program reads it (kube/node/config.go
// has the same fields and refuses others).
type nodeFile struct {
	Dir       string       `json:"dir"`
	Cgroup    string       `json:"cgroup,omitempty"`
	Network   *nodeNetwork `json:"network,omitempty"`
	Processes []process    `json:"processes"`
}

type nodeNetwork struct {
	Bridge   string `json:"bridge"`
	Address  string `json:"address"`
	Services string `json:"services"`
}

type process struct {
	Name        string   `json:"name"`
	Args        []string `json:"args"`
	Env         []string `json:"env,omitempty"`
	Inputs      string   `json:"inputs,omitempty"`
	Ready       *probe   `json:"ready,omitempty"`
	StopSeconds int      `json:"stopSeconds"`

	files []string // that it reads; Inputs is the digest of their contents
}

type probe struct {
	URL    string `json:"url,omitempty"`
	CA     string `json:"ca,omitempty"`
	Cert   string `json:"cert,omitempty"`
	Socket string `json:"socket,omitempty"`
}
