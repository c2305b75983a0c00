#!/usr/bin/env python3
"""The launcher as a person meets it: Ctrl-C in a terminal, its width, stderr in a file, failures as JSON, completion, the jar alone."""
import fcntl, json, os, pathlib, pty, re, select, shutil, signal, struct, subprocess, sys, termios, time

home = pathlib.Path(__file__).resolve().parent.parent
work = home / "build" / "terminal"
performer = str(home / "performer")
failures = []


def check(what, holds, seen=""):
    print(("ok    " if holds else "FAILED ") + what, flush=True)
    if not holds:
        failures.append(f"{what}: {seen}")


def in_terminal(command, interrupt_at=None, columns=100, patience=300):
    """Runs a command in a terminal of its own; types Ctrl-C when the pattern is seen. Returns what was shown and the exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        os.environ.pop("COLUMNS", None)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # as in a terminal, also where this script was started in the background
        os.chdir(home)
        os.execv(command[0], command)
    shown, end = b"", time.monotonic() + patience
    while time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            shown += piece
            if interrupt_at and re.search(interrupt_at, shown):
                os.write(terminal, b"\x03")
                interrupt_at = None
    else:
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    os.close(terminal)
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode(errors="replace"))  # without colours
    return text, os.waitstatus_to_exitcode(status)


shutil.rmtree(work, ignore_errors=True)
work.mkdir(parents=True)
subprocess.run([performer, "--version"], check=True)

# Ctrl-C after the first steps: exit code 130, and the checkpoint of the step where it stopped.
run = work / "train"
sizes = ["--set", "training.batchTokens=1024", "--set", "data.length=64", "--set", "training.evaluateEvery=0",
         "--set", "training.evaluationBatches=1", "--set", "training.checkpointEvery=0", "--set", "training.steps=100000"]
shown, code = in_terminal([performer, "train", "training/protein-causal.yaml", "--output", str(run), *sizes], rb"[1-9][0-9]*/100000")
check("Ctrl-C ends train with exit code 130", code == 130, f"{code}\n{shown[-2000:]}")
steps = sorted(int(path.name.split("-")[1]) for path in (run / "checkpoints").glob("step-*"))
check("Ctrl-C leaves a checkpoint of the last step", steps and steps[-1] > 0, steps)
check("the bar fits the terminal", all(len(line) <= 100 for line in re.split(r"[\r\n]+|\^C", shown) if "loss" in line), shown[-500:])

shown, code = in_terminal([performer, "help", "train"])
longest = max(len(line) for line in shown.splitlines())
check("help uses the width of the terminal", code == 0 and 80 < longest <= 100, f"{code}, {longest} columns")

# stderr in a file: no notes of TensorFlow, and the lines of several writers stay whole and in order.
err = work / "stderr"
model = "savedmodels/protein-mlm/saved_model"
script = f"""{performer} evaluate {model} --data training/data/family_test.fasta.gz --length 32 >/dev/null
echo between >&2; {performer} inspect no/such/model; echo end >&2"""
subprocess.run(["bash", "-c", script], cwd=home, stderr=err.open("w"), stdout=subprocess.DEVNULL)
text = err.read_text()
check("no notes of TensorFlow in a file", "absl" not in text and "mlir" not in text.lower(), text)
check("lines in a file are in order", re.search(r"between\nperformer: no/such/model.*\nend\n$", text), text)

# Failures as JSON.
for arguments, code in [(["inspect", "no/such/model"], 1), (["inspect", "--no-such-option"], 2), (["predict", model], 2)]:
    done = subprocess.run([performer, *arguments, "--json"], cwd=home, capture_output=True, text=True)
    try:
        error = json.loads(done.stdout)["error"]
    except (ValueError, KeyError, TypeError):
        error = None
    check(f"{' '.join(arguments)} --json: an error as JSON", done.returncode == code and error and error in done.stderr, done)

script = f"""source <("{performer}" completion) && complete -p performer && COMP_WORDS=(performer insp) COMP_CWORD=1 &&
_complete_performer && echo "${{COMPREPLY[@]}}" """
done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
check("completion completes a command", "inspect" in done.stdout.split("\n")[-2], done)

jar = home / "target" / "launcher" / "performer.jar"
done = subprocess.run(["java", "-jar", str(jar)], capture_output=True, text=True)
check("java -jar without libraries is one clear line", done.returncode == 1 and done.stderr.count("\n") == 1 and "copy-dependencies" in done.stderr, done)

classpath = (home / "target" / "launcher" / "performer.classpath").read_text()
check("no library of tests on the launcher's class path", not re.search("junit|assertj|jqwik|archunit", classpath), classpath)

# As in a container: the launcher beside lib/, without sources and build.
unpacked = work / "unpacked"
(unpacked / "lib").mkdir(parents=True)
shutil.copy(performer, unpacked)
for path in [jar, *map(pathlib.Path, classpath.strip().split(os.pathsep))]:
    (unpacked / "lib" / path.name).symlink_to(path)
for when in "first", "second":
    done = subprocess.run([unpacked / "performer", "--version"], capture_output=True, text=True)
    check(f"the launcher runs beside lib/, {when} time", done.returncode == 0 and "TensorFlow 2." in done.stdout, done)
archives = [path.stat().st_size for path in (unpacked / "lib").glob("*.jsa")]
check("beside lib/ classes are archived", archives and archives[0] > 1e6, archives)

if failures:
    sys.exit("terminal: " + "\n".join(failures))
print("terminal: passed")
