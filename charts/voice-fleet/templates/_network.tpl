{{/* Parts of NetworkPolicies. */}}

{{- define "voice.policyOf" -}}
{{- $root := index . 0 }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ index . 1 }}
  labels:
    {{- include "voice.labels" (list $root (index . 2) (index . 3)) | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "voice.selector" (list $root (index . 2) (index . 3)) | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end -}}

{{- define "voice.fromMonitoring" -}}
- from:
    - namespaceSelector:
        {{- with .Values.networkPolicy.monitoringNamespace }}
        matchLabels:
          {{- toYaml . | nindent 10 }}
        {{- else }} {}
        {{- end }}
{{- end -}}

{{- define "voice.toDns" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end -}}

{{- define "voice.toRedis" -}}
{{ if .Values.redis.embedded.enabled }}
- to:
    - podSelector:
        matchLabels:
          {{- include "voice.selector" (list . "redis" "") | nindent 10 }}
  ports:
    - port: 6379
      protocol: TCP
{{- else }}
{{- $ports := list }}
{{- range .Values.networkPolicy.redisPorts }}{{ $ports = append $ports (int .) }}{{ end }}
{{- with .Values.redis.url }}{{ $ports = append $ports (include "voice.portOf" . | int) }}{{ end }}
{{- with $ports | uniq }}
- ports:
    {{- range . }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with $.Values.networkPolicy.redis }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* (root, addresses): the ports of networkPolicy.egressPorts, and those of addresses that values name. */}}
{{- define "voice.toAnywhere" -}}
{{- $ports := list -}}
{{- range (index . 0).Values.networkPolicy.egressPorts }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- range compact (index . 1) }}{{ $ports = append $ports (include "voice.portOf" . | int) }}{{ end -}}
{{- with $ports | uniq }}
- ports:
    {{- range . }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end }}
{{- end -}}

{{/* The port of an address: its own, or that of its protocol. */}}
{{- define "voice.portOf" -}}
{{- $address := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $address.host | trimPrefix ":" -}}
{{- default (get (dict "http" "80" "https" "443" "redis" "6379" "rediss" "6379") $address.scheme) $port -}}
{{- end -}}

{{/* As JSON: addresses of the store of recordings and of the collector, where they are used. */}}
{{- define "voice.sharedAddresses" -}}
{{- list (ternary .Values.jobs.s3.endpoint "" .Values.jobs.enabled) (ternary .Values.tracing.endpoint "" .Values.tracing.enabled) | toJson -}}
{{- end -}}

{{- define "voice.extraEgress" -}}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
