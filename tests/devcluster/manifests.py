"""What the stories about the dev cluster run on it: pods of the small probe image."""

from tests.devcluster.running import PROBE_IMAGE

NAMESPACE = "probe"

# both at the depth of a Pod's spec
CONTAINER = f"""
  - name: probe
    image: {PROBE_IMAGE}
    args: [serve]
    resources: {{requests: {{cpu: 100m}}}}
    readinessProbe: {{httpGet: {{path: /, port: 8000}}, periodSeconds: 1}}
    securityContext:
      allowPrivilegeEscalation: false
      capabilities: {{drop: [ALL]}}
      readOnlyRootFilesystem: true"""

SECURITY = """
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    seccompProfile: {type: RuntimeDefault}"""


def namespace() -> str:
    return f"""
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels: {{pod-security.kubernetes.io/enforce: restricted}}
"""


def pod_with_claim(name: str) -> str:
    return f"""
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  volumes: [{{name: data, persistentVolumeClaim: {{claimName: {name}}}}}]{SECURITY}
  containers:{CONTAINER}
    volumeMounts: [{{name: data, mountPath: /data}}]
"""


def one_pod_per_node() -> str:
    """A DaemonSet and its Service."""
    return f"""
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: echo, namespace: {NAMESPACE}}}
spec:
  selector: {{matchLabels: {{app: echo}}}}
  template:
    metadata: {{labels: {{app: echo}}}}
    spec:{_deeper(SECURITY)}
      containers:{_deeper(CONTAINER)}
---
apiVersion: v1
kind: Service
metadata: {{name: echo, namespace: {NAMESPACE}}}
spec: {{selector: {{app: echo}}, ports: [{{port: 80, targetPort: 8000}}]}}
"""


def autoscaled() -> str:
    """A Deployment of one pod, its Service, and an autoscaler on cpu."""
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: busy, namespace: {NAMESPACE}}}
spec:
  selector: {{matchLabels: {{app: busy}}}}
  template:
    metadata: {{labels: {{app: busy}}}}
    spec:{_deeper(SECURITY)}
      containers:{_deeper(CONTAINER)}
---
apiVersion: v1
kind: Service
metadata: {{name: busy, namespace: {NAMESPACE}}}
spec: {{selector: {{app: busy}}, ports: [{{port: 80, targetPort: 8000}}]}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: busy, namespace: {NAMESPACE}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: busy}}
  maxReplicas: 3
  metrics:
  - type: Resource
    resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 50}}}}
"""


def _deeper(block: str) -> str:
    """Return a block at the depth of a pod template's spec."""
    return block.replace("\n", "\n    ")
