-- What a session may have of all free slots. 'terms': those of its request or ticket.

local function is_closed(terms, pool)
  for _, closed in ipairs(terms.closed or {}) do
    if closed == pool then return true end
  end
  return false
end

-- As one text: the model it waits for, and in lines of their own the pools that are closed to it. nil: any slot will do.
local function wish_of(terms)
  if not terms.closed then return terms.model end
  return (terms.model or '') .. '\n' .. table.concat(terms.closed, '\n')
end

-- The model and the closed pools of such a text, each nil where there is none.
local function read_wish(wish)
  local model, rest = wish:match('^([^\n]*)\n(.+)$')
  if not model then return wish end
  local closed = {}
  for pool in rest:gmatch('[^\n]+') do closed[#closed + 1] = pool end
  return model ~= '' and model or nil, closed
end
