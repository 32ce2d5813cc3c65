{{/* What pods of all components share. */}}

{{- define "voice.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "voice.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* (settings of a component): where its pods may run. */}}
{{- define "voice.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .schedulerName }}
schedulerName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* (root, component, pool or "", settings, label of a revision or ""): over zones first, then over hosts. */}}
{{- define "voice.spread" -}}
{{- $selector := include "voice.selector" (list (index . 0) (index . 1) (index . 2)) -}}
{{- $revision := index . 4 -}}
{{- $when := (index . 3).topologySpread.whenUnsatisfiable -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $when }}
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
    {{- with $revision }}
    # Each revision for itself, or the old pods would decide where the new ones may be.
    matchLabelKeys: [{{ . }}]
    {{- end }}
  {{- end }}
{{- end -}}

{{- define "voice.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* (name, settings of a component): the name of its ServiceAccount. */}}
{{- define "voice.serviceAccount" -}}
{{- $account := (index . 1).serviceAccount -}}
{{- default (ternary (index . 0) "default" $account.create) $account.name -}}
{{- end -}}

{{/* (path, port name, settings): an HTTP probe. */}}
{{- define "voice.probe" -}}
httpGet:
  path: {{ index . 0 }}
  port: {{ index . 1 }}
{{- toYaml (index . 2) | nindent 0 }}
{{- end -}}

{{/* (requests, limits and claims of a container, more of both): each quantity a text, also one that was written as a number. */}}
{{- define "voice.resources" -}}
{{- $resources := default dict (index . 0) -}}
{{- $more := index . 1 -}}
{{- $told := dict -}}
{{- range $kind := list "requests" "limits" -}}
{{- $quantities := dict -}}
{{- range $name, $quantity := merge (dict) $more (get $resources $kind | default dict) -}}
{{- $_ := set $quantities $name (include "voice.text" $quantity) -}}
{{- end -}}
{{- if $quantities }}{{ $_ := set $told $kind $quantities }}{{ end -}}
{{- end -}}
{{- with $resources.claims }}{{ $_ := set $told "claims" . }}{{ end -}}
{{- toYaml $told -}}
{{- end -}}

{{/* A PodDisruptionBudget: (root, name, component, pool or "", pdb). Zero counts, so what is set is looked at by kind. */}}
{{- define "voice.pdb" -}}
{{- $root := index . 0 -}}
{{- $pdb := index . 4 -}}
{{- $max := not (kindIs "invalid" $pdb.maxUnavailable) -}}
{{- $min := not (kindIs "invalid" $pdb.minAvailable) -}}
{{- if eq $max $min -}}
{{- fail (printf "pdb of %s: set one of maxUnavailable and minAvailable, and the other one to null" (index . 1)) -}}
{{- end -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ index . 1 }}
  labels:
    {{- include "voice.labels" (list $root (index . 2) (index . 3)) | nindent 4 }}
spec:
  {{- if $max }}
  maxUnavailable: {{ $pdb.maxUnavailable }}
  {{- else }}
  minAvailable: {{ $pdb.minAvailable }}
  {{- end }}
  # Pods that are not ready hold up no drain of a node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "voice.selector" (list $root (index . 2) (index . 3)) | nindent 6 }}
{{- end -}}

{{/* A HorizontalPodAutoscaler by CPU: (root, name, component, autoscaling, resources of its container) */}}
{{- define "voice.cpuAutoscaler" -}}
{{- $root := index . 0 -}}
{{- $scaling := index . 3 -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail (printf "autoscaling of %s: minReplicas (%d) is more than maxReplicas (%d)" (index . 1) (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- end -}}
{{- if not (dig "requests" "cpu" "" (default dict (index . 4))) -}}
{{- fail (printf "autoscaling of %s reckons in percent of the requested CPU: set resources.requests.cpu" (index . 1)) -}}
{{- end -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ index . 1 }}
  labels:
    {{- include "voice.labels" (list $root (index . 2) "") | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ index . 1 }}
  minReplicas: {{ $scaling.minReplicas }}
  maxReplicas: {{ $scaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $scaling.targetCPUUtilizationPercentage }}
    {{- with $scaling.extraMetrics }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  behavior:
    scaleDown:
      # Clients that cannot resume lose their session with their pod: not for a short dip.
      stabilizationWindowSeconds: 600
      policies:
        - type: Pods
          value: 1
          periodSeconds: 120
{{- end -}}

{{/* The grace of a pod: (name, what it needs in seconds, override). */}}
{{- define "voice.grace" -}}
{{- $needs := int (index . 1) -}}
{{- $override := int (index . 2) -}}
{{- if and (gt $override 0) (lt $override $needs) -}}
{{- fail (printf "%s: terminationGracePeriodSeconds is %d, but its pause and drain need %d s: raise it, set it to 0, or lower drainSeconds" (index . 0) $override $needs) -}}
{{- end -}}
{{- default $needs $override -}}
{{- end -}}

{{/* (root, API version, what for): refuses objects that the cluster would not know. */}}
{{- define "voice.needsApi" -}}
{{- $root := index . 0 -}}
{{- if and $root.Values.crdChecks (not ($root.Capabilities.APIVersions.Has (index . 1))) -}}
{{- fail (printf "%s needs %s, which this cluster does not have: install it, turn %s off, or set crdChecks=false to render without a cluster" (index . 2) (index . 1) (index . 2)) -}}
{{- end -}}
{{- end -}}

{{/* (root, kind, name, number, whether an autoscaler owns it): `replicas`, as JSON. Left to the autoscaler it is not there. But a
     number that was there cannot just be left out: the server would make it 1. Then the number that there is goes on being told. */}}
{{- define "voice.replicas" -}}
{{- $root := index . 0 -}}
{{- if not (index . 4) -}}
{{- dict "replicas" (int (index . 3)) | toJson -}}
{{- else -}}
{{- $live := lookup "apps/v1" (index . 1) $root.Release.Namespace (index . 2) | default dict -}}
{{- if hasKey (dig "metadata" "annotations" dict $live) "voice-fleet/replicas" -}}
{{- dict "replicas" (int $live.spec.replicas) | toJson -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}
{{- end -}}
