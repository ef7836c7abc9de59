# For interactive shells in the container, `docker exec -it NAME bash` and Jupyter's terminals alike.
# shellcheck shell=bash

# A login shell has reset it.
case :$PATH: in
*:/opt/gpubox/bin:*) ;;
*) PATH=/opt/gpubox/bin:$HOME/.local/bin:$PATH ;;
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
# the token of the container's own. Where gpubox says which port is published, another one leads nowhere.
_gpubox_notebook() { # GPU PORT
  local gpu=$1 port=$2 token
  if [ "$port" != "${JUPYTER_PORT:-$port}" ]; then
    echo "This container publishes port $JUPYTER_PORT alone: nothing outside it reaches port $port. For a Jupyter there, add a notebook"
    echo "below gpubox:notebooks of your Pulumi.<stack>.yaml, and run \`npm start\`:"
    echo "    - {name: container$((gpu + 1)), gpus: [$gpu], port: $port}"
    echo "The other notebooks then list their GPUs as well, as in \`gpus: [$((gpu == 0))]\`; without a GPU, all say \`gpus: none\`."
    return 1
  fi
  token=$(_gpubox_token)
  if curl -fs -o /dev/null --noproxy '*' --max-time 5 "http://127.0.0.1:$port/api"; then
    echo "Jupyter is already running here, on port $port:"
    echo "    http://localhost:$port/lab?token=$token"
    return
  fi
  : "${token:=$(python3 -c 'import secrets; print(secrets.token_hex(24))')}"
  echo "Starting Jupyter on GPU $gpu and port $port; Ctrl-C ends it."
  echo "    http://localhost:$port/lab?token=$token"
  CUDA_VISIBLE_DEVICES=$gpu JUPYTER_PORT=$port JUPYTER_TOKEN=$token jupyter lab
}

for _gpubox_n in 0 1 2 3 4 5 6 7; do
  # shellcheck disable=SC2139 # expanded now, on purpose
  alias "jupyter_notebook_GPU_${_gpubox_n}_PORT_$((8888 + _gpubox_n))=_gpubox_notebook $_gpubox_n $((8888 + _gpubox_n))" \
    "j$((8 + _gpubox_n))=_gpubox_notebook $_gpubox_n $((8888 + _gpubox_n))"
done
unset _gpubox_n
