#include "eval/sandbox_programs.h"

#include <string_view>

namespace touchstone {
namespace {

// Both sides: messages are a length and JSON. Values travel as plain data of exact types (a subclass that
// redefines == arrives as its base), functions and iterators as numbers to call back. Arguments come back
// with the result, so that a function may change its lists in place.
constexpr std::string_view kPeer = R"py(
import json, os, sys
sys.set_int_max_str_digits(0)
MAX_MESSAGE = 64 << 20

class Gone(BaseException):
    pass

class Opaque:
    def __init__(self, text):
        self.text = text
    def __repr__(self):
        return self.text

class Peer:
    def __init__(self):
        self.inp = os.fdopen(3, 'rb')
        self.out = os.fdopen(4, 'wb')
        self.exports = []

    def send(self, message):
        data = json.dumps(message).encode()
        try:
            self.out.write(len(data).to_bytes(8, 'little') + data)
            self.out.flush()
        except OSError:
            raise Gone() from None

    def recv(self):
        head = self.inp.read(8)
        size = int.from_bytes(head, 'little')
        if len(head) < 8 or size > MAX_MESSAGE:
            raise Gone()
        data = self.inp.read(size)
        if len(data) < size:
            raise Gone()
        return json.loads(data)

    def export(self, value):
        self.exports.append(value)
        return len(self.exports) - 1

    def enc(self, v):
        if v is None or v is True or v is False or isinstance(v, (str, float)):
            return v
        if isinstance(v, int):
            return v
        if isinstance(v, list):
            return ['l', [self.enc(x) for x in v]]
        if isinstance(v, tuple):
            return ['t', [self.enc(x) for x in v]]
        if isinstance(v, set):
            return ['s', [self.enc(x) for x in v]]
        if isinstance(v, frozenset):
            return ['z', [self.enc(x) for x in v]]
        if isinstance(v, dict):
            return ['d', [[self.enc(k), self.enc(x)] for k, x in v.items()]]
        if isinstance(v, complex):
            return ['c', v.real, v.imag]
        if isinstance(v, (bytes, bytearray)):
            return ['b' if isinstance(v, bytes) else 'a', bytes(v).hex()]
        if isinstance(v, range):
            return ['r', v.start, v.stop, v.step]
        if type(v).__module__ in ('fractions', 'decimal') and type(v).__name__ in ('Fraction', 'Decimal'):
            return ['n', type(v).__name__, str(v)]
        if callable(v):
            return ['f', self.export(v)]
        if hasattr(v, '__next__'):
            return ['i', self.export(v.__next__)]
        return ['o', ('<%s object>' % type(v).__name__)[:200]]

    def dec(self, v):
        if not isinstance(v, list):
            return v
        tag = v[0]
        if tag == 'l':
            return [self.dec(x) for x in v[1]]
        if tag == 't':
            return tuple(self.dec(x) for x in v[1])
        if tag == 's':
            return {self.dec(x) for x in v[1]}
        if tag == 'z':
            return frozenset(self.dec(x) for x in v[1])
        if tag == 'd':
            return {self.dec(k): self.dec(x) for k, x in v[1]}
        if tag == 'c':
            return complex(v[1], v[2])
        if tag == 'b':
            return bytes.fromhex(v[1])
        if tag == 'a':
            return bytearray.fromhex(v[1])
        if tag == 'r':
            return range(v[1], v[2], v[3])
        if tag == 'n':
            import decimal, fractions
            return fractions.Fraction(v[2]) if v[1] == 'Fraction' else decimal.Decimal(v[2])
        if tag == 'f':
            number = v[1]
            return lambda *args, **kwargs: self.call(number, args, kwargs)
        if tag == 'i':
            return self.iterate(v[1])
        return Opaque(str(v[1]))

    def iterate(self, number):
        while True:
            try:
                yield self.call(number, (), {})
            except StopIteration:
                return

    def call(self, number, args, kwargs):
        self.send(['call', number, [self.enc(x) for x in args], [[k, self.enc(x)] for k, x in kwargs.items()]])
        while True:
            message = self.recv()
            if message[0] == 'call':
                self.serve(message)
            elif message[0] == 'return':
                for mine, theirs in zip(args, message[2]):
                    self.copy_back(mine, self.dec(theirs))
                return self.dec(message[1])
            else:
                import builtins
                kind = getattr(builtins, str(message[1]), None)
                if not (isinstance(kind, type) and issubclass(kind, Exception)):
                    kind = RuntimeError
                try:
                    error = kind(str(message[2]))
                except Exception:
                    error = RuntimeError(str(message[1]))
                raise error

    def copy_back(self, mine, theirs):
        if isinstance(mine, (list, bytearray)) and type(mine) is type(theirs):
            mine[:] = theirs
        elif isinstance(mine, (dict, set)) and isinstance(theirs, (dict, set)) and len(mine) + len(theirs) > 0:
            if isinstance(mine, dict) == isinstance(theirs, dict) and mine != theirs:
                mine.clear()
                mine.update(theirs)

    def serve(self, message):
        try:
            args = [self.dec(x) for x in message[2]]
            result = self.exports[message[1]](*args, **{k: self.dec(x) for k, x in message[3]})
            reply = ['return', self.enc(result), [self.enc(x) if isinstance(x, (list, dict, set, bytearray)) else None
                                                  for x in args]]
        except Gone:
            raise
        except BaseException as error:
            reply = ['raise', type(error).__name__, str(error)[:500]]
        self.send(reply)
)py";

constexpr std::string_view kCandidate = R"py(
import ast, builtins

def defined_names(body):
    names = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in getattr(node, 'targets', [getattr(node, 'target', None)]):
                if isinstance(target, ast.Name):
                    names.add(target.id)
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            names |= defined_names(node.body)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
    return names

def describe(error):
    place = ' (line %d)' % error.lineno if isinstance(error, SyntaxError) and error.lineno else ''
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return ('%s: %s%s' % (type(error).__name__, text, place))[:300]

def choose(attempts, entry_point):
    """The first attempt that parses and defines the function; else why none does."""
    why = ''
    for text in attempts:
        try:
            tree = ast.parse(text)
            code = compile(tree, 'answer', 'exec')
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            why = why or 'the code does not compile: ' + describe(error)
            continue
        if entry_point in defined_names(tree.body):
            return text, code, ''
        why = why or 'the code does not define ' + entry_point
    return None, None, why

def run_helpers(texts, entry_point, space):
    keep = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    for text in texts:
        try:
            nodes = ast.parse(text).body
        except Exception:
            continue
        for node in nodes:
            if not isinstance(node, keep) or getattr(node, 'name', '') == entry_point:
                continue
            try:
                exec(compile(ast.Module([node], []), 'helpers', 'exec'), space)
            except Exception:
                pass

def load(job):
    text, code, why = choose(job['attempts'], job['entry_point'])
    if code is None:
        return None, why
    space = {'__name__': 'answer', '__builtins__': builtins}
    try:
        exec(compile(job['preamble'], 'preamble', 'exec'), space)
    except Exception:
        pass
    run_helpers(job['helpers'], job['entry_point'], space)
    space.pop(job['entry_point'], None)
    try:
        exec(code, space)
    except BaseException as error:
        if not callable(space.get(job['entry_point'])):
            if isinstance(error, SystemExit):
                return None, 'the code exits while it is loaded'
            return None, 'the code raises while it is loaded: ' + describe(error)
        # Behind the function its own examples failed or asked for input; helpers may follow them.
        run_helpers([text], job['entry_point'], space)
    function = space.get(job['entry_point'])
    return (function, '') if callable(function) else (None, job['entry_point'] + ' is not a function')

peer = Peer()
with os.fdopen(5, 'rb') as file:
    job = json.loads(file.read())
function, why = load(job)
peer.export(function)
peer.send(['hello', function is not None, why])
try:
    while function is not None:
        peer.serve(peer.recv())
except Gone:
    pass
os._exit(0)
)py";

constexpr std::string_view kJudge = R"py(
def report(passed, text):
    line = ('P' if passed else 'F') + ' '.join(str(text).split())[:500]
    with os.fdopen(6, 'wb') as file:
        file.write(line.encode('utf-8', 'replace'))
    os._exit(0)

def failing_line(error, test):
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == 'test':
            line = trace.tb_lineno
        trace = trace.tb_next
    lines = test.split('\n')
    return lines[line - 1].strip() if line is not None and line <= len(lines) else ''

def judge(job):
    peer = Peer()
    hello = peer.recv()
    if hello[0] != 'hello' or hello[1] is not True:
        report(False, hello[2])
    space = {'__name__': 'test'}
    try:
        exec(compile(job['preamble'], 'preamble', 'exec'), space)
    except Exception:
        pass
    candidate = peer.dec(['f', 0])
    space.pop('check', None)
    space[job['entry_point']] = candidate
    space['candidate'] = candidate
    try:
        exec(compile(job['test'], 'test', 'exec'), space)
        if 'check' in space:
            space['check'](candidate)
    except AssertionError as error:
        report(False, 'a check does not hold: ' + failing_line(error, job['test']))
    except Exception as error:
        report(False, 'raises %s: %s in %s' % (type(error).__name__, str(error)[:200], failing_line(error, job['test'])))
    report(True, 'all checks hold')

with os.fdopen(5, 'rb') as file:
    job = json.loads(file.read())
try:
    judge(job)
except Gone:
    report(False, 'GONE')
except SystemExit:
    report(False, 'the test exits')
except BaseException as error:
    report(False, 'what the code returned cannot be read: ' + type(error).__name__)
)py";

}  // namespace

std::string candidate_program() { return std::string(kPeer) + std::string(kCandidate); }
std::string judge_program() { return std::string(kPeer) + std::string(kJudge); }

}  // namespace touchstone
