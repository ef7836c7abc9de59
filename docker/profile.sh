# For interactive shells in the container, `docker exec -it NAME bash` and Jupyter's terminals alike.
# shellcheck shell=bash

# A login shell has reset it.
case :$PATH: in
*:/opt/venv/bin:*) ;;
*) PATH=/opt/venv/bin:$PATH ;;
esac

# Shells of `docker exec` do not come from the server, which has it set.
if [ -n "${GPUBOX_UMASK:-}" ]; then umask "$GPUBOX_UMASK"; fi

# The server's token: in `docker exec` from the environment, in Jupyter's terminals from the running server.
_gpubox_token() {
  if [ -n "${JUPYTER_TOKEN:-}" ]; then
    printf '%s\n' "$JUPYTER_TOKEN"
  else
    jupyter server list 2>/dev/null | sed -n '/[?&]token=/{s/.*[?&]token=\([^ &]*\).*/\1/p;q}'
  fi
}

# jupyter_notebook_GPU_<gpu>_PORT_<port>: the address of the server on that port; starts one where there is none, with
# the token of the container's own.
_gpubox_notebook() { # GPU PORT
  local gpu=$1 port=$2 token
  token=$(_gpubox_token)
  if curl -fs -o /dev/null --noproxy '*' --max-time 5 "http://127.0.0.1:$port/api"; then
    echo "Jupyter is already running here, on port $port:"
    echo "    http://localhost:$port/lab?token=$token"
    return
  fi
  : "${token:=$(python3 -c 'import secrets; print(secrets.token_hex(24))')}"
  echo "Starting Jupyter on GPU $gpu and port $port; Ctrl-C ends it."
  if [ "$port" != "${JUPYTER_PORT:-8888}" ]; then
    echo "This container publishes port ${JUPYTER_PORT:-8888}. A browser outside it reaches port $port only as a notebook"
    echo "of its own, in the stack's 'notebooks'."
  fi
  echo "    http://localhost:$port/lab?token=$token"
  CUDA_VISIBLE_DEVICES=$gpu JUPYTER_PORT=$port JUPYTER_TOKEN=$token jupyter lab
}

for _gpubox_n in 0 1 2 3 4 5 6 7; do
  # shellcheck disable=SC2139 # expanded now, on purpose
  alias "jupyter_notebook_GPU_${_gpubox_n}_PORT_$((8888 + _gpubox_n))=_gpubox_notebook $_gpubox_n $((8888 + _gpubox_n))" \
    "j$((8 + _gpubox_n))=_gpubox_notebook $_gpubox_n $((8888 + _gpubox_n))"
done
unset _gpubox_n
