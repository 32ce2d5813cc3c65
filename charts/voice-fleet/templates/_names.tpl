{{/* Names, labels and images. All names of objects come from here. */}}

{{/* The name of the release, at most 24 characters, so that the StatefulSet of a pool (…-asr-worker-POOL) has at most 52: its
     pods carry a hash in a label. What must be cut ends in a hash of the whole, so that two long releases do not become one. */}}
{{- define "voice.fullname" -}}
{{- $name := default .Release.Name .Values.fullnameOverride -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "%s cannot be in the name of a Service, which begins with a letter and has no dot: set fullnameOverride to another name" $name) -}}
{{- end -}}
{{- include "voice.short" (list $name 24) -}}
{{- end -}}

{{/* (text, most characters): cut, with seven characters of a hash. */}}
{{- define "voice.short" -}}
{{- $text := index . 0 -}}
{{- $most := index . 1 -}}
{{- if le (len $text) $most -}}
{{- $text -}}
{{- else -}}
{{- printf "%s-%s" ($text | trunc (int (sub $most 8)) | trimSuffix "-") (sha256sum $text | trunc 7) -}}
{{- end -}}
{{- end -}}

{{- define "voice.gateway" -}}{{ include "voice.fullname" . }}-gateway{{- end -}}
{{- define "voice.llmTts" -}}{{ include "voice.fullname" . }}-llm-tts{{- end -}}
{{- define "voice.redis" -}}{{ include "voice.fullname" . }}-redis{{- end -}}
{{/* (root, pool) */}}
{{- define "voice.worker" -}}{{ include "voice.fullname" (index . 0) }}-asr-worker-{{ index . 1 }}{{- end -}}

{{/* Name under which workers and gateways find each other in Redis, which releases of other namespaces may share. */}}
{{- define "voice.fleet" -}}
{{- default (include "voice.short" (list (printf "%s.%s" .Release.Namespace (include "voice.fullname" .)) 64)) .Values.fleet.name -}}
{{- end -}}

{{/* (root, component, pool or ""): what never changes in the life of a release. */}}
{{- define "voice.selector" -}}
app.kubernetes.io/name: {{ include "voice.short" (list (default (index . 0).Chart.Name (index . 0).Values.nameOverride) 63) }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- with index . 2 }}
voice-fleet/pool: {{ . }}
{{- end }}
{{- end -}}

{{/* (root, component, pool or "") */}}
{{- define "voice.labels" -}}
{{- $root := index . 0 -}}
{{ include "voice.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: voice-fleet
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ include "voice.short" (list (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") 63) }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* (root, component, pool or "", more labels, which count first) */}}
{{- define "voice.labelsWith" -}}
{{- toYaml (mergeOverwrite (include "voice.labels" (slice . 0 3) | fromYaml) (index . 3)) -}}
{{- end -}}

{{/* (root, component, pool or "", podLabels) */}}
{{- define "voice.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "voice.selector" . }}
app.kubernetes.io/part-of: voice-fleet
{{- with mergeOverwrite (dict) $root.Values.commonLabels (index . 3) }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* (root, image of values.images, override {tag, digest} or an empty map) */}}
{{- define "voice.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $own := index . 2 -}}
{{- $name := $image.repository -}}
{{- with $root.Values.images.registry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end -}}
{{- $tag := coalesce $own.tag $image.tag $root.Values.images.tag $root.Chart.AppVersion -}}
{{- $digest := ternary $own.digest $image.digest (or (not (empty $own.tag)) (not (empty $own.digest))) -}}
{{- if $digest -}}{{ $name }}@{{ $digest }}{{- else -}}{{ $name }}:{{ $tag }}{{- end -}}
{{- end -}}
