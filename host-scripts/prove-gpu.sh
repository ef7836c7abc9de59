#!/bin/sh
# Proves that the GPUs a container was given compute: multiplies matrices on each, with the container's own PyTorch.
#
#   CONTAINER    its name
#   ACCELERATOR  what it was given; "CPU" where there is nothing to prove
#   TIMEOUT      seconds
#   DOCKER_HOST  optional, as the docker command reads it
#
# stdout: what was proven, one line. Exit: 0 proven, 1 not, 2 bad parameter.
# An image without PyTorch is asked by way of the driver's own library; one without Python, by nvidia-smi. The line says so.
set -eu
topic="GPU of ${CONTAINER-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh

check_container
check_timeout
if [ "${ACCELERATOR-}" = CPU ]; then
  printf '%s runs on the CPU: there is no GPU to prove\n' "$CONTAINER"
  exit 0
fi

program() {
  cat <<'PYTHON'
import sys, time

def by_driver():
    """Writes to a GPU's memory and reads it back, with nothing but the library that the driver brings along."""
    import ctypes
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        sys.exit("UNPROVEN the container has no driver library (%s)" % error)
    def call(name, *arguments):
        status = getattr(cuda, name)(*arguments)
        if status:
            sys.exit("UNPROVEN %s ended with CUDA error %d" % (name, status))
    count = ctypes.c_int()
    call("cuInit", 0)
    call("cuDeviceGetCount", ctypes.byref(count))
    if not count.value:
        sys.exit("UNPROVEN the driver shows the container no GPU")
    for index in range(count.value):
        device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
        name, back = ctypes.create_string_buffer(100), ctypes.create_string_buffer(1024)
        call("cuDeviceGet", ctypes.byref(device), index)
        call("cuDeviceGetName", name, 100, device)
        call("cuCtxCreate_v2", ctypes.byref(context), 0, device)
        call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(1024))
        call("cuMemsetD8_v2", memory, ctypes.c_ubyte(7), ctypes.c_size_t(1024))
        call("cuMemcpyDtoH_v2", back, memory, ctypes.c_size_t(1024))
        if back.raw != b"\x07" * 1024:
            sys.exit("UNPROVEN GPU %d does not give back what was written to it" % index)
        call("cuCtxDestroy_v2", context)
        print("PROVEN %s: its memory can be used; the image has no PyTorch to compute with" % name.value.decode())

try:
    import torch
except ImportError:
    by_driver()
    sys.exit()
made = "VERSIONS PyTorch %s, made for CUDA %s and %s" % (
    torch.__version__, torch.version.cuda, " ".join(getattr(torch.cuda, "get_arch_list", list)()) or "no GPU")
print(made)
if not torch.version.cuda:
    sys.exit("UNPROVEN this PyTorch was made for the CPU only")
try:
    count = torch.cuda.device_count()
    if not torch.cuda.is_available():
        torch.zeros(1).cuda()
    for index in range(count):
        name, capability = torch.cuda.get_device_name(index), "%d.%d" % torch.cuda.get_device_capability(index)
        print("VERSIONS GPU %d is a %s, compute capability %s" % (index, name, capability))
        size = 1024
        one = torch.ones(size, size, device="cuda:%d" % index)
        started = time.time()
        total = float((one @ one).sum())
        if total != float(size) ** 3:
            sys.exit("UNPROVEN GPU %d computes wrongly: %s instead of %s" % (index, total, float(size) ** 3))
        print("PROVEN %s, compute capability %s: multiplied matrices with CUDA %s in %.1f s" % (
            name, capability, torch.version.cuda, time.time() - started))
    if not count:
        sys.exit("UNPROVEN PyTorch sees no GPU")
except Exception as error:
    sys.exit("UNPROVEN " + (str(error).strip() or repr(error)).splitlines()[0])
PYTHON
}

# The seed's image keeps its Python where a login shell finds it. Other folders that a notebook can put programs into come last. They
# could do no more than claim that the GPU computes, and so can a PyTorch that the notebook installed, which is the one to be proven.
# shellcheck disable=SC2016 # for the container's shell
find_python='first= last= rest=$PATH:
while [ -n "$rest" ]; do
  at=${rest%%:*} rest=${rest#*:}
  case $at in
    "${HOME:-/}"/* | /code/* | /data/*) last=$last:$at ;;
    /*) first=$first:$at ;;
  esac
done
PATH=$first$last
PATH=${PATH#:}
for bin in /opt/conda ~/anaconda3 ~/miniconda3 /root/anaconda3; do
  for at in "$bin/bin" "$bin/envs/fastai/bin"; do if [ -x "$at/python" ]; then PATH=$at:$PATH; fi; done
done
for python in python3 python; do if command -v "$python" >/dev/null 2>&1; then exec "$python" -; fi; done
if names=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>&1); then
  printf "%s\n" "$names" | sed "s/^/PROVEN nvidia-smi in the container shows a /"
else
  printf "UNPROVEN %s\n" "$(printf "%s\n" "$names" | head -n 1)"
fi'

have docker || fail 1 "needs the docker command to look into the container" "  for instance:  sudo apt-get install docker-cli"
enter_container -c "$find_python"
proven=$(printf '%s\n' "$printed" | sed -n 's/^PROVEN //p')
if [ "$status" = 0 ] && [ -n "$proven" ]; then
  printf '%s\n' "$proven" | awk '{ printf "%s%s", sep, $0; sep = "; " }' | legible
  exit 0
fi

why=$(printf '%s\n' "$printed" | sed -n 's/^UNPROVEN //p')
if [ "$status" = 124 ]; then why="nothing came back for $TIMEOUT s"; fi
why=${why:-$(printf '%s\n' "$printed" | tail -n 1)}
driver=$(if have nvidia-smi; then briefly "$TIMEOUT" nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>&1 | head -n 1; fi)
# A container keeps the libraries that it was given, so that it may be the host's own driver that says what is wrong.
case $driver in *mismatch*) why="$why ($driver)" ;; esac
case $why in
  *'version mismatch'* | *'rror 803'* | *'unsupported display driver'*)
    mend="the driver's packages were upgraded since the machine started, and the kernel still has the old driver: reboot it (a machine of AWS:  npm run stop  and then  npm start )" ;;
  *'no kernel image'* | *'not compatible'*)
    mend="this PyTorch was not made for this GPU: use an image for its generation, or say  gpus: none" ;;
  *'driver version is insufficient'* | *'driver on your system is too old'* | *'CUDA error 35'*)
    mend="the host's driver is older than the image's CUDA needs: update it (Ubuntu: sudo ubuntu-drivers install) and reboot" ;;
  *'out of memory'*)
    mend="another program holds the GPU's memory:  nvidia-smi  shows which" ;;
  *NVML* | *'Unknown Error'* | *'unknown error'* | *'no CUDA-capable device'* | *'no driver library'* | *'No CUDA GPUs'* | *'sees no GPU'* | *'shows the container no GPU'*)
    mend="Docker did not hand the GPU to the container:  docker restart $CONTAINER  brings back one that was lost; else  sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker" ;;
  *'for the CPU only'*) mend="the image has a PyTorch without CUDA: use another image, or say  gpus: none" ;;
  *) mend="look at it yourself:  docker exec -it $CONTAINER python3 -c 'import torch; print(torch.ones(1).cuda())'" ;;
esac
say "$ACCELERATOR was asked for and does not compute: $why"
say "driver ${driver:-unknown}"
printf '%s\n' "$printed" | sed -n 's/^VERSIONS //p' | show_lines
fail 1 "$mend"
