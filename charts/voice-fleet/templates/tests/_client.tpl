{{/* (root, component): what the pods of clients share. */}}
{{- define "voice.clientPod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
restartPolicy: Never
{{- with include "voice.pullSecrets" (index . 0) | trim }}{{ . | nindent 0 }}{{ end }}
securityContext:
  {{- include "voice.podSecurity" (index . 0) | nindent 2 }}
{{- end -}}

{{/* (root, Secret of its own or "", key in it) */}}
{{- define "voice.clientEnv" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 -}}
{{- if not (or $own $root.Values.auth.apiKeyKey) -}}
{{- fail "tests and load tests open sessions with a key: set auth.apiKeyKey, or loadTest.apiKey.existingSecret and tests.enabled=false" -}}
{{- end -}}
- name: VOXTRAL_API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ default $root.Values.auth.existingSecret $own | quote }}
      key: {{ ternary (index . 2) $root.Values.auth.apiKeyKey (not (empty $own)) | quote }}
- name: VOXTRAL_SERVER
  value: {{ printf "ws://%s:%v" (include "voice.gateway" $root) $root.Values.gateway.service.port | quote }}
{{- end -}}
