"""Prints to the terminal and to a dated file in docs/benchmarks/, with the date, the machine and the command."""
import contextlib, datetime, importlib.metadata, os, pathlib, platform, shlex, subprocess, sys

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
HUBEL = REPOSITORY / "target" / "release" / "hubel"


def arguments(parser):
    """The flags that all scripts have."""
    parser.add_argument("--hubel", default=str(HUBEL), help="the binary [default: target/release/hubel]")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", default=str(REPOSITORY / "docs" / "benchmarks"), help="folder for the dated file; - for none")


def words_and_flags():
    """The command line before `--`, and behind it the flags for hubel."""
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    return words[:cut], words[cut + 1 :]


@contextlib.contextmanager
def record(name, args):
    """Gives a function that prints a line to both places."""
    if not os.access(args.hubel, os.X_OK):
        sys.exit(f"{args.hubel} is no program; build it with `cargo build --release`, or give --hubel PATH")
    with contextlib.ExitStack() as stack:
        file = None
        if args.out != "-":
            os.makedirs(args.out, exist_ok=True)
            names = (f"{datetime.date.today()}-{name}{number}.txt" for number in ["", *(f"-{i}" for i in range(2, 1000))])
            path = next(path for path in (pathlib.Path(args.out) / name for name in names) if not path.exists())
            file = stack.enter_context(open(path, "w"))

        def say(line=""):
            print(line, flush=True)
            if file:
                print(line, file=file, flush=True)

        say(f"date     {datetime.datetime.now():%Y-%m-%d %H:%M}")
        say(f"machine  {machine()}")
        say(f"hubel    {version(args.hubel)}")
        say(f"peers    {peers()}")
        say(f"command  python bench/{shlex.join([os.path.basename(sys.argv[0]), *public(sys.argv[1:])])}")
        say()
        yield say


def public(words):
    """The command line without the places of this machine."""
    words, kept = iter(words), []
    for word in words:
        flag = word.split("=", 1)[0]
        if flag == "--cifar":
            kept += [flag, "FOLDER"]
        elif flag not in ("--hubel", "--out", "--json"):
            kept.append(word)
            continue
        if "=" not in word:
            next(words, None)
    return kept


def machine():
    """Processor, cores, memory, system."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in open("/proc/cpuinfo"):
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = ""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    return f"{model}, {os.cpu_count()} threads{memory}, {platform.system()} {platform.release().split('-')[0]}, load {load()}"


def load():
    """How busy the machine is before anything is measured."""
    with contextlib.suppress(OSError, AttributeError):
        return f"{os.getloadavg()[0]:.1f}"
    return "unknown"


def version(hubel):
    """The binary's version and the commit of the repository."""
    text = subprocess.run([hubel, "--version"], capture_output=True, text=True).stdout.strip()
    commit = subprocess.run(["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return f"{text}, {commit.stdout.strip() or 'no git'}"


def peers():
    """What is installed here of the programs that hubel is measured beside."""
    found = []
    for name in ["torch", "torchvision", "onnxruntime", "openvino"]:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name).split('+')[0]}")
    return ", ".join(found) or "none"
