"""The tiny model on vLLM, where there is no GPU."""

from loupe.config import ROOT

CAPTIONER = "loupe/benchmarks/toytown/vlm"
CPU = {
    "dtype": "float32",
    "max_model_len": 1024,
    "max_num_seqs": 16,
    "enforce_eager": True,
    "skip_mm_profiling": True,
    "distributed_executor_backend": "mp",
}
"""Of vLLM's engine."""
CPU_ENV = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": f"{ROOT / 'tests' / 'vllm_cpu'}:{ROOT}",
}
"""Of its processes."""
