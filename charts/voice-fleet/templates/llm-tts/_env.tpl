{{/* As JSON: the environment of llm-tts. */}}
{{- define "voice.llmTtsEnv" -}}
{{- $llmTts := .Values.llmTts -}}
{{- $env := include "voice.commonEnv" (list . "llm-tts") | fromJson -}}
{{- $_ := set $env "LLM_TTS_BIND_HOST" (include "voice.anyAddress" .) -}}
{{- $_ := set $env "LLM_TTS_DRAIN_S" $llmTts.drainSeconds -}}
{{- with $llmTts.llm.baseUrl }}{{ $_ := set $env "OPENAI_BASE_URL" . }}{{ end -}}
{{- with $llmTts.llm.model }}{{ $_ := set $env "OPENAI_MODEL" . }}{{ end -}}
{{- with $llmTts.llm.existingSecret.name }}{{ $_ := set $env "OPENAI_API_KEY" (dict "secret" . "key" $llmTts.llm.existingSecret.key) }}{{ end -}}
{{- with $llmTts.tts.baseUrl }}{{ $_ := set $env "TTS_BASE_URL" . }}{{ end -}}
{{- with $llmTts.tts.model }}{{ $_ := set $env "TTS_MODEL" . }}{{ end -}}
{{- with $llmTts.tts.voice }}{{ $_ := set $env "TTS_VOICE" . }}{{ end -}}
{{- with $llmTts.tts.existingSecret.name }}{{ $_ := set $env "TTS_API_KEY" (dict "secret" . "key" $llmTts.tts.existingSecret.key) }}{{ end -}}
{{- $env | toJson -}}
{{- end -}}
