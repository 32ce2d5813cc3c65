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
{{- else if .Values.networkPolicy.redisPorts }}
- ports:
    {{- range .Values.networkPolicy.redisPorts }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .Values.networkPolicy.redis }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "voice.toAnywhere" -}}
{{- with .Values.networkPolicy.egressPorts }}
- ports:
    {{- range . }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end }}
{{- end -}}

{{- define "voice.extraEgress" -}}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
