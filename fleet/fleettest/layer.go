package fleettest

import (
	"fmt"
	"strings"
)

// layer writes bases/<layer>: a kustomization and ten objects, a file each.
func (f Fleet) layer(w *writer, n int) {
	name := LayerName(n)
	var files []string
	for _, text := range f.objects(n) {
		file := fmt.Sprintf("%s.yaml", strings.ToLower(kindOf(text)))
		if f.WholeLayers && n%10 < 3 {
			text = strings.Replace(text, "metadata:\n", "metadata:\n  annotations:\n    example.com/site: ${SITE}\n", 1)
		}
		files = append(files, file)
		w.file("bases/"+name+"/"+file, text)
	}
	w.file("bases/"+name+"/kustomization.yaml", strings.Replace(kustomization(files...), "\nresources", "\nnamespace: "+name+"\nresources", 1))
}

func kindOf(text string) string {
	_, rest, _ := strings.Cut(text, "kind: ")
	kind, _, _ := strings.Cut(rest, "\n")
	return kind
}

// objects are ten; ConfigMap, Deployment and Ingress have variables.
func (f Fleet) objects(n int) []string {
	fill := strings.NewReplacer("NAME", LayerName(n), "IMAGE", image(n), "<SITE>", "${SITE}", "<DOMAIN>", "${DOMAIN}", "<REPLICAS>", "${REPLICAS}")
	if f.WholeLayers {
		fill = strings.NewReplacer("NAME", LayerName(n), "IMAGE", image(n), "<SITE>", "site", "<DOMAIN>", "example.com", "<REPLICAS>", "1")
	}
	return strings.Split(fill.Replace(objects), "---\n")
}

const objects = `apiVersion: v1
kind: Namespace
metadata:
  name: NAME
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: NAME
automountServiceAccountToken: false
---
apiVersion: v1
kind: Service
metadata:
  name: NAME
spec:
  selector:
    app: NAME
  ports:
    - name: http
      port: 80
      targetPort: http
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: NAME
data:
  site: store <SITE>
  floor: "0"
  NAME.conf: |
    # What the pods of this layer read at their start.
    listen: 8080
    log: info
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
spec:
  replicas: <REPLICAS>
  selector:
    matchLabels:
      app: NAME
  template:
    metadata:
      labels:
        app: NAME
    spec:
      serviceAccountName: NAME
      containers:
        - name: web
          image: IMAGE
          args: [--listen=:8080, --config=/etc/app/NAME.conf]
          ports:
            - name: http
              containerPort: 8080
          env:
            - name: SITE
              value: <SITE>
          resources:
            requests:
              cpu: 5m
              memory: 8Mi
            limits:
              memory: 32Mi
          volumeMounts:
            - name: config
              mountPath: /etc/app
              readOnly: true
      volumes:
        - name: config
          configMap:
            name: NAME
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: NAME
spec:
  rules:
    - host: NAME.store-<SITE>.<DOMAIN>
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: NAME
                port:
                  name: http
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: NAME
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
    - ports:
        - protocol: TCP
          port: 8080
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: NAME
rules:
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: NAME
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: NAME
subjects:
  - kind: ServiceAccount
    name: NAME
    namespace: NAME
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: NAME
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      app: NAME
`
